"""From an exported model to training artifacts. Needs onnx and onnx-ir."""
