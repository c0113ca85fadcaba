"""Train an Xception in Keras on labelled folders of photos."""
