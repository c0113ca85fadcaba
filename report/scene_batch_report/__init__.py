"""What a run found, for people: figures, a page, corrections, photos in folders."""
