"""A graph put together as torch.onnx's exporter writes one: names, shared vectors, external data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET, IR_VERSION = 20, 10
# The exporter keeps smaller tensors in the model's own file.
_SMALLEST_EXTERNAL = 256
_FLOAT, _INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64

Shape = Sequence[int | str]


class Exported:
    """Nodes, weights and constants of a model.

    Attributes:
        parameters: the names of all that is to be trained, as they are once equal vectors of several
            modules are separated.

    Args:
        seed: of the weights.
    """

    def __init__(self, seed: int) -> None:
        self.parameters: list[str] = []
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, np.ndarray] = {}
        self._vectors: dict[tuple[float, int], str] = {}

    def weight(self, name: str | None, *shape: int, deviation: float = 0.02) -> str:
        """A normal parameter; without a name it is called as what the exporter transposed in advance."""
        array = self._random.normal(0, deviation, shape).astype(np.float32)
        return self._parameter(name or f"val_{len(self._tensors)}", array)

    def vector(self, name: str, number: float, size: int) -> str:
        """A scale or shift as it is initialized, of one number throughout; equal ones are stored once."""
        self.parameters.append(name)
        stored = self._vectors.setdefault((number, size), name)
        self._tensors.setdefault(stored, np.full(size, number, np.float32))
        return stored

    def constant(self, array: np.ndarray | float) -> str:
        """What is no parameter; one number is float32."""
        name = f"val_{len(self._tensors)}"
        self._tensors[name] = np.asarray(array, np.float32 if isinstance(array, float) else None)
        return name

    def integers(self, *numbers: int) -> str:
        """A vector of them."""
        return self.constant(np.array(numbers, np.int64))

    def node(self, op_type: str, *inputs: str, module: str = "", **attributes: Any) -> str:
        """An operator of one output.

        Args:
            op_type: which.
            inputs: names of values, "" for none.
            module: the path of the module that it is of.
            attributes: its own.
        """
        return self.nodes(op_type, *inputs, outputs=1, module=module, **attributes)[0]

    def nodes(
        self, op_type: str, *inputs: str, outputs: int, module: str = "", **attributes: Any
    ) -> list[str]:
        """An operator of several outputs."""
        name = f"{op_type.lower()}_{len(self._nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{place}" for place in range(outputs)]
        node = helper.make_node(op_type, inputs, names, f"node_{name}", **attributes)
        note = node.metadata_props.add()
        note.key, note.value = "pkg.torch.onnx.name_scopes", str(["", module, name])
        self._nodes.append(node)
        return names

    def linear(self, value: str, module: str, inputs: int, outputs: int) -> str:
        """A linear layer on rows: MatMul by the weight, transposed in advance, and Add of the bias."""
        product = self.node("MatMul", value, self.weight(None, inputs, outputs), module=module)
        return self.node("Add", product, self.vector(f"{module}.bias", 0, outputs), module=module)

    def layer_normalization(self, value: str, module: str, size: int, epsilon: float) -> str:
        """Over the last axis."""
        scale = self.vector(f"{module}.weight", 1, size)
        shift = self.vector(f"{module}.bias", 0, size)
        return self.node(
            "LayerNormalization",
            *(value, scale, shift),
            module=module,
            axis=-1,
            epsilon=epsilon,
            stash_type=1,
        )

    def reshape(self, value: str, *sizes: int) -> str:
        """To sizes that are known but for one."""
        return self.node("Reshape", value, self.integers(*sizes), allowzero=1)

    def transpose(self, value: str, *order: int) -> str:
        """Axes in another order."""
        return self.node("Transpose", value, perm=list(order))

    def save(
        self, path: Path, inputs: Mapping[str, tuple[int, Shape]], outputs: Mapping[str, Shape]
    ) -> None:
        """Writes the model, its tensors, constants too, beside it into `.data`.

        Args:
            path: the file to write.
            inputs: type and shape by name.
            outputs: shape by name, float32.
        """
        given = [helper.make_tensor_value_info(name, *each) for name, each in inputs.items()]
        results = [helper.make_tensor_value_info(n, _FLOAT, each) for n, each in outputs.items()]
        tensors = [numpy_helper.from_array(each, name) for name, each in self._tensors.items()]
        graph = helper.make_graph(self._nodes, "main_graph", given, results, tensors)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        data = f"{path.name}.data"
        path.with_name(data).unlink(missing_ok=True)
        onnx.save(
            model,
            path,
            save_as_external_data=True,
            location=data,
            size_threshold=_SMALLEST_EXTERNAL,
        )
        onnx.checker.check_model(path)

    def rename(self, value: str, name: str) -> None:
        """Calls the output of the last node as the model's."""
        (node,) = [each for each in self._nodes if value in each.output]
        node.output[list(node.output).index(value)] = name

    def _parameter(self, name: str, array: np.ndarray) -> str:
        self.parameters.append(name)
        self._tensors[name] = array
        return name


def real(*shape: int | str) -> tuple[int, Shape]:
    """A float32 input."""
    return _FLOAT, shape


def integer(*shape: int | str) -> tuple[int, Shape]:
    """An int64 input."""
    return _INT64, shape
