"""The gradients that training would use, beside central differences in float64. Needs onnx and onnx-ir."""
