"""The same training on every onnxruntime: prepared on one, compared on others."""
