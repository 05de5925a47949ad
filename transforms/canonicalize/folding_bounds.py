"""What is too large to be computed ahead: a few numbers may stand for a tensor that no memory holds.

Bounds are of what is read and written, not of seconds, so that the same comes out on every machine.
"""

from __future__ import annotations

from math import prod

import onnx
import onnx_ir as ir

# Of what one node reads or gives, and of all that is computed of a graph.
MOST_BYTES = 1 << 27
# Elements of one node, where onnx's reference goes through them one by one, at some 100 µs each.
_MOST_STEPS = 1 << 14
# What is less cannot come to much, whatever operands are repeated for.
_FEW = 1 << 14
_LARGEST_ELEMENT = 8

# Operators whose reference is one of NumPy's functions.
_BY_NUMPY = frozenset(
    "Abs Add And ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil "
    "Clip Compress Concat ConstantOfShape CumSum Div Equal Exp Expand EyeLike Flatten Floor Gather "
    "GatherElements Greater GreaterOrEqual Identity IsInf IsNaN Less LessOrEqual Log MatMul Max Mean Min "
    "Mod Mul Neg NonZero Not OneHot Or Pad Pow Range Reciprocal ReduceMax ReduceMin ReduceProd ReduceSum "
    "Reshape Round ScatterElements Shape Sign Size Slice Split Sqrt Squeeze Sub Sum Tile Transpose Trilu "
    "Unique Unsqueeze Where Xor".split()
)
# Their outputs' sizes are what values of inputs say, not sizes of them.
_SIZED_BY_VALUES = frozenset("ConstantOfShape Expand OneHot Pad Range Tile".split())
# How large these come out depends on numbers, but not larger than they go in, but for a place for each axis.
_SELECTING = frozenset("Compress NonZero Unique".split())


def bytes_to_compute(node: ir.Node, opset: int) -> int | None:
    """How many bytes a node of constants gives; None if it is too much to compute, or not known.

    Args:
        node: of the standard; its inputs are constants.
        opset: of the default domain.
    """
    tensors = [value.const_value for value in node.inputs if value is not None]
    sizes = [tensor.size for tensor in tensors if tensor is not None]
    by_numpy = node.op_type in _BY_NUMPY
    most = MOST_BYTES if by_numpy else _MOST_STEPS * _LARGEST_ELEMENT
    read = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    if read > most:
        return None
    repeated = prod(max(1, size) for size in sizes)
    if by_numpy and node.op_type not in _SIZED_BY_VALUES and repeated <= _FEW:
        return repeated * _LARGEST_ELEMENT
    if node.op_type in _SELECTING:
        return sum(sizes) * _LARGEST_ELEMENT
    given = _inferred(node, opset)
    return None if given is None or given > most else given


def _inferred(node: ir.Node, opset: int) -> int | None:
    """How many bytes the outputs have that onnx infers; None if that is not known of all."""
    proto = ir.to_proto(node)
    inputs, initializers = [], []
    for value in node.inputs:
        if value is None or value.const_value is None:
            continue
        tensor = value.const_value
        shape = [int(size) for size in tensor.shape.numpy()]
        inputs.append(onnx.helper.make_tensor_value_info(value.name or "", tensor.dtype, shape))
        if tensor.size <= _FEW:
            initializers.append(onnx.numpy_helper.from_array(tensor.numpy(), value.name))
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    graph = onnx.helper.make_graph([proto], "one", inputs, outputs, initializers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        inferred = onnx.shape_inference.infer_shapes(model).graph.output
    except Exception:  # where it finds a fault, so will the runtime
        return None
    total = 0
    for value in inferred:
        tensor = value.type.tensor_type
        if not tensor.HasField("shape"):
            return None
        if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            return None
        size = 4 if tensor.elem_type == onnx.TensorProto.FLOAT else _LARGEST_ELEMENT
        total += size * prod(max(0, dim.dim_value) for dim in tensor.shape.dim)
    return total
