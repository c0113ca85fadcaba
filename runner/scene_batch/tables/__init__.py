"""What a table of rows is, written and read back: columns, formats, the run's record."""
