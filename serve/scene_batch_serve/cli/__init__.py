"""One small file for each command of this room."""
