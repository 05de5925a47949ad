"""Values for onnxruntime's checkpoint, which it reads from a file one after another.

In messages they would be in memory three times: in Python's, in onnxruntime's and in what it writes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnx_ir as ir

# What is smaller stands in the message.
_SMALL = 1 << 12


@contextmanager
def values_beside(folder: Path) -> Iterator[Callable[[str, ir.TensorProtocol], bytes]]:
    """A function that gives a float32 tensor as a serialized message, which may refer to a file.

    It is the file that the tensor is in already, or one in the folder, which is gone afterwards.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".values.") as file:

        def refer(name: str, tensor: ir.TensorProtocol) -> bytes:
            if tensor.nbytes < _SMALL:
                return bytes(onnx.numpy_helper.from_array(tensor.numpy(), name).SerializeToString())
            if isinstance(tensor, ir.ExternalTensor) and tensor.dtype == ir.DataType.FLOAT:
                return _reference(name, tensor, Path(tensor.path), tensor.offset or 0)
            offset = file.tell()
            tensor.numpy().tofile(file)
            file.flush()
            return _reference(name, tensor, Path(file.name), offset)

        yield refer


def _reference(name: str, tensor: ir.TensorProtocol, path: Path, offset: int) -> bytes:
    message = onnx.TensorProto(
        name=name,
        data_type=onnx.TensorProto.FLOAT,
        dims=list(tensor.shape.numpy()),
        data_location=onnx.TensorProto.EXTERNAL,
    )
    entries = {"location": str(path.resolve()), "offset": offset, "length": tensor.nbytes}
    for key, value in entries.items():
        message.external_data.add(key=key, value=str(value))
    return bytes(message.SerializeToString())
