"""How rows become a table that is whole: parts, ledger, joining, on a disk or in a bucket."""
