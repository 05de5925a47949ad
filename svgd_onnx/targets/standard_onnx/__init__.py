"""One training step as a model of standard operators, for any onnxruntime."""
