"""One operator between its inputs and a loss: its gradients as the rules write them, and as they are."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from svgd_onnx.gradient_check.double_precision import Evaluator
from svgd_onnx.gradient_check.double_precision.double_precision import DoublePrecision
from svgd_onnx.gradient_check.double_precision.operators import OPERATORS
from svgd_onnx.transforms.canonicalize import InferShapes, Opset
from svgd_onnx.transforms.differentiate.reverse_mode import differentiate_in_reverse
from svgd_onnx.transforms.lower import Lower
from svgd_onnx.transforms.passes import run

_STEP = 1e-5
_DIRECTIONS = 3


@dataclass(frozen=True)
class Fed:
    """An input of the graph: random numbers of a shape between two bounds, or what is given.

    Attributes:
        varied: whether the loss is differentiated by it.
    """

    shape: tuple[int, ...] = ()
    low: float = -1.5
    high: float = 1.5
    array: np.ndarray | None = None
    varied: bool = True


def real(*shape: int, low: float = -1.5, high: float = 1.5) -> Fed:
    """Random numbers, by which the loss is differentiated."""
    return Fed(shape, low, high)


def given(array: Any, *, varied: bool = True) -> Fed:
    """An array that is fed; if it is of floats, the loss is differentiated by it."""
    values = np.asarray(array)
    values = values.astype(np.float32) if values.dtype == np.float64 else values
    return Fed(values.shape, array=values, varied=varied and values.dtype == np.float32)


def fixed(*numbers: int) -> np.ndarray:
    """A constant int64 vector: axes, a shape."""
    return np.array(numbers, np.int64)


Input = Fed | np.ndarray | None


@dataclass(frozen=True, eq=False)
class Case:
    """A setting of an operator.

    Attributes:
        inputs: fed, constant (arrays), or left out (None).
        outputs: how many the node has.
        read: those that the loss reads.
        open: whether the sizes of what is fed are not known to the graph, or of which axes.
        runs: whether onnxruntime has a kernel for the operator as it is.
        ones: whether the loss adds up the outputs as they are.
        beside: whether the loss has the first input in it besides.
    """

    op_type: str
    inputs: tuple[Input, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 21
    outputs: int = 1
    read: tuple[int, ...] = (0,)
    open: bool | tuple[int, ...] = False
    runs: bool = True
    ones: bool = False
    beside: bool = False

    @cached_property
    def feeds(self) -> dict[str, np.ndarray]:
        """What is fed, in float32."""
        random = np.random.default_rng(zlib.crc32(repr((self.op_type, self.attributes)).encode()))
        return {
            f"x{i}": random.uniform(each.low, each.high, each.shape).astype(np.float32)
            if each.array is None
            else each.array
            for i, each in enumerate(self.inputs)
            if isinstance(each, Fed)
        }

    @cached_property
    def varied(self) -> list[str]:
        """The inputs that the loss is differentiated by."""
        return [
            f"x{i}" for i, each in enumerate(self.inputs) if isinstance(each, Fed) and each.varied
        ]

    def _model(
        self, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], result: str
    ) -> onnx.ModelProto:
        infos = []
        for name, array in self.feeds.items():
            shape = array.shape
            if self.open and name in self.varied:
                axes = range(array.ndim) if self.open is True else self.open
                shape = [f"n{n}" if axis in axes else n for axis, n in enumerate(array.shape)]
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            infos.append(helper.make_tensor_value_info(name, kind, shape))
        given = [
            numpy_helper.from_array(each, f"x{i}")
            for i, each in enumerate(self.inputs)
            if isinstance(each, np.ndarray)
        ]
        names = ["" if each is None else f"x{i}" for i, each in enumerate(self.inputs)]
        outputs = [f"y{i}" for i in range(self.outputs)]
        node = helper.make_node(self.op_type, names, outputs, name="node", **self.attributes)
        output = helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, None)
        if result == "loss":
            output = helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, [])
        graph = helper.make_graph([node, *nodes], "case", infos, [output], [*given, *constants])
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10
        )

    @cached_property
    def forward(self) -> ir.Model:
        """The loss: the sum of the outputs, weighted at random."""
        nodes, constants, parts = [], [], []
        for k in self.read:
            alone = ir.from_proto(self._model([], [], f"y{k}"))
            DoublePrecision()(alone)
            feeds = {name: _double(array) for name, array in self.feeds.items()}
            y = ReferenceEvaluator(ir.to_proto(alone), new_ops=OPERATORS).run(None, feeds)[0]
            constants.append(numpy_helper.from_array(self._weights(y.shape), f"w{k}"))
            nodes.append(helper.make_node("Mul", [f"y{k}", f"w{k}"], [f"p{k}"], name=f"mul{k}"))
            nodes.append(
                helper.make_node("ReduceSum", [f"p{k}"], [f"s{k}"], name=f"sum{k}", keepdims=0)
            )
            parts.append(f"s{k}")
        if self.beside:
            nodes.append(
                helper.make_node("ReduceSum", ["x0"], ["x0_sum"], name="beside", keepdims=0)
            )
            parts.append("x0_sum")
        nodes.append(helper.make_node("Sum", parts, ["loss"], name="total"))
        model = ir.from_proto(self._model(nodes, constants, "loss"))
        InferShapes()(model)
        return model

    def _weights(self, shape: tuple[int, ...]) -> np.ndarray:
        random = np.random.default_rng(1)
        size = random.uniform(0.5, 1.5, shape) * random.choice([-1, 1], shape)
        return np.ones(shape, np.float32) if self.ones else np.asarray(size, np.float32)

    @cached_property
    def backward(self) -> ir.Model:
        """The gradient graph, with operators of the training set."""
        model = run(self.forward.clone(), Opset(), InferShapes())
        return differentiate_in_reverse(model, {name: [name] for name in self.varied})

    @cached_property
    def standard(self) -> ir.Model:
        """The gradient graph, of standard operators."""
        model = self.backward.clone()
        Lower()(model)
        return model

    @cached_property
    def gradients(self) -> dict[str, np.ndarray]:
        """The gradients by the inputs that are varied, in float64."""
        model = self.standard.clone()
        DoublePrecision()(model)
        feeds = {name: _double(array) for name, array in self.feeds.items()}
        names = [f"{name}_grad" for name in self.varied]
        with np.errstate(all="ignore"):
            evaluator = ReferenceEvaluator(ir.to_proto(model), new_ops=OPERATORS)
            return dict(zip(self.varied, evaluator.run(names, feeds)))

    def differences(self) -> dict[str, float]:
        """By how much gradients and central differences differ along random directions, relatively."""
        evaluator = Evaluator(self.forward, self.feeds)
        random = np.random.default_rng(2)
        errors = {}
        for name, gradient in self.gradients.items():
            x = _double(self.feeds[name])
            assert gradient.shape == x.shape, (gradient.shape, x.shape)
            worst = 0.0
            for _ in range(_DIRECTIONS):
                direction = random.normal(size=x.shape)
                ahead, behind = (
                    evaluator.output({name: x + step * direction}) for step in (_STEP, -_STEP)
                )
                expected = (ahead - behind) / (2 * _STEP)
                found = float(np.sum(gradient * direction))
                scale = np.linalg.norm(gradient) + abs(expected) + 1e-3
                worst = max(worst, abs(found - expected) / scale) if np.isfinite(found) else np.inf
            errors[name] = float(worst)
        return errors

    def on_onnxruntime(self, model: ir.Model) -> dict[str, np.ndarray]:
        """The gradients by onnxruntime, in float32."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [f"{name}_grad" for name in self.varied]
        return dict(zip(self.varied, session.run(names, self.feeds)))


def _double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def case(
    op_type: str,
    *inputs: Input,
    opset: int = 21,
    outputs: int = 1,
    read: tuple[int, ...] = (0,),
    open: bool | tuple[int, ...] = False,
    runs: bool = True,
    beside: bool = False,
    **attributes: Any,
) -> Case:
    """A setting of an operator, its attributes by their names."""
    return Case(op_type, inputs, attributes, opset, outputs, read, open, runs, beside=beside)
