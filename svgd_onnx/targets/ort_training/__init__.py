"""onnxruntime's training session."""
