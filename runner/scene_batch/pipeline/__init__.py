"""What puts the parts together: one run, merge, update, bench; and the engine that streams."""
