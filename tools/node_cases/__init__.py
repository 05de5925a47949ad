"""The onnx package's node test cases, differentiated by every input."""
