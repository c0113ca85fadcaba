"""Foreign classifiers made ours: what is known of one, its graph wrapped, and the proof."""
