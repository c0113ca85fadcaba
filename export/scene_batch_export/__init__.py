"""Make a trained run into one self-describing ONNX file, and prove it equal to Keras."""
