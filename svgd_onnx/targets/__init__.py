"""The runtimes that artifacts are made for, a folder each: what is written, and a session to train it.

ort_training   onnxruntime's training session (onnxruntime-training 1.19.2)
standard_onnx  one step as a model of standard operators, for any onnxruntime
"""

from __future__ import annotations

ORT_TRAINING = "ort-training"
STANDARD_ONNX = "onnx"
TARGETS = (ORT_TRAINING, STANDARD_ONNX)

EVAL_MODEL = "eval_model.onnx"
"""In both: the loss and the model's outputs, with the parameters as inputs."""
