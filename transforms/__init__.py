"""Graph transforms, one `onnx_ir` pass a file, in a folder for each stage.

canonicalize    the exported model in one inference form
losses          the loss, on top of the prediction
differentiate   training mode, then onnxruntime's gradient builder
virtualize      sigma-prime found, T inserted, parameter uses merged
optimizers      formulas, and the forms that they are emitted in
emit            the graphs that a training session, an evaluation or an export needs
"""
