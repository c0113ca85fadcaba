"""A model file, the pixels that it sees, and what computes it."""
