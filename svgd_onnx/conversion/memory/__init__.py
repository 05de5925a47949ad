"""How much memory a training step takes, told from its graph.

step_shapes   the shape of every value, for a batch of some size
other_shapes  of operators that are not ONNX's own
node_order    in which order onnxruntime runs the nodes
buffers       which values share memory, and when it is taken and given back
workspace     what a node works in, beside its outputs
arena         what onnxruntime's arena makes of that
estimate      all of it, for a folder of artifacts
of_model      the same, of a model that is not converted yet
"""
