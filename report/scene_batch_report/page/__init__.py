"""One page that shows a table: its figures, a sample of its photos, and a place to correct it."""
