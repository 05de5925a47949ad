"""Training, evaluation and export of artifacts: what a device has, and no onnx."""
