"""Graph transforms, one `onnx_ir` pass a file, in a folder for each stage.

canonicalize    the exported model in one inference form
parameters      which of its initializers are learned, and which of those are trained
losses          the loss, on top of the prediction
decompose       operators without a gradient, written with operators that have one
differentiate   training mode, then onnxruntime's gradient builder
virtualize      sigma-prime found, T inserted, parameter uses merged
lower           onnxruntime's training operators, and T, written with standard ones
optimizers      formulas, and the forms that they are emitted in
emit            the graphs that a training session, an evaluation, an export or a step needs

A rule (`rule`) writes one node with others, on a `writer`; the stages decompose and lower are tables of
rules. `passes` runs passes one after another.
"""
