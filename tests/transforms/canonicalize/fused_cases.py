"""Settings of every operator of onnxruntime's that is written with standard ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

SIZES = {"batch": 2, "length": 5, "keys": 4, "past": 3, "all": 8}
_RANDOM = np.random.default_rng(5)


@dataclass(frozen=True)
class Data:
    """An input of the model: its array, and the axes that are open, by name."""

    array: np.ndarray
    dims: tuple[Any, ...]


def data(*dims: Any) -> Data:
    """Random float32 numbers, axes of `SIZES` open."""
    return Data(weight(*(SIZES.get(dim, dim) for dim in dims)), dims)


def integers(numbers: Sequence[Any], *dims: Any) -> Data:
    return Data(np.array(numbers, np.int32), dims)


def weight(*shape: int) -> np.ndarray:
    return _RANDOM.normal(size=shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """One node.

    Attributes:
        op_type: its operator.
        inputs: `Data` for inputs of the model, arrays for initializers, None for what is not given.
        outputs: which outputs are read.
        domain, opset: where the operator is, and the version of the default domain.
        since: the onnxruntime whose CPU kernel is right.
        attributes: of the node.
    """

    op_type: str
    inputs: Sequence[Data | np.ndarray | None]
    outputs: tuple[int, ...] = (0,)
    domain: str = "com.microsoft"
    opset: int = 17
    since: tuple[int, int] = (1, 17)
    attributes: dict[str, Any] = field(default_factory=dict)

    def feeds(self) -> dict[str, np.ndarray]:
        return {
            f"x{place}": value.array
            for place, value in enumerate(self.inputs)
            if isinstance(value, Data)
        }

    def model(self) -> onnx.ModelProto:
        names = ["" if each is None else f"x{i}" for i, each in enumerate(self.inputs)]
        outputs = [f"y{i}" if i in self.outputs else "" for i in range(max(self.outputs) + 1)]
        node = helper.make_node(
            self.op_type, names, outputs, "fused", domain=self.domain, **self.attributes
        )
        inputs, initializers = [], []
        for name, value in zip(names, self.inputs):
            if isinstance(value, Data):
                dtype = helper.np_dtype_to_tensor_dtype(value.array.dtype)
                inputs.append(helper.make_tensor_value_info(name, dtype, value.dims))
            elif value is not None:
                initializers.append(numpy_helper.from_array(value, name))
        given = [
            onnx.ValueInfoProto(name=name) for name in outputs if name
        ]  # types are inferred by the runtime
        graph = helper.make_graph([node], "fused", inputs, given, initializers)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


_SETTINGS = ("outputs", "domain", "opset", "since")


def case(op_type: str, *inputs: Data | np.ndarray | None, **settings: Any) -> Case:
    own = {name: settings.pop(name) for name in _SETTINGS if name in settings}
    return Case(op_type, inputs, attributes=settings, **own)


# 1.19 passes over a bias, or its place where it is left out, and mixes up masks of other keys than queries.
NEWER = (1, 32)
X = data("batch", "length", 8)
HEADS = {"num_heads": 2}
RAW = integers([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], "batch", "length")
QUERY, KEY, VALUE = (
    data("batch", size, width) for size, width in (("length", 8), ("keys", 8), ("keys", 6))
)
ANGLES = np.arange(9)[:, None] / 10.0 ** (np.arange(2) / 2)
TABLES = [function(ANGLES).astype(np.float32) for function in (np.cos, np.sin)]
IDS = integers([[1, 2, 0, 3, 3], [0, 0, 6, 1, 2]], "batch", "length")
SEGMENTS = integers([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]], "batch", "length")
TABLE_OF_WORDS, TABLE_OF_POSITIONS, TABLE_OF_SEGMENTS = (weight(size, 8) for size in (7, 9, 2))


def attention(
    mask: Data | None = None, *others: Data | None, bias: bool = True, **settings: Any
) -> Case:
    inputs = [X, weight(8, 24), weight(24) if bias else None, mask, *others]
    return case("Attention", *inputs, **HEADS, **settings)


def across(*others: Data | np.ndarray | None, **settings: Any) -> Case:
    return case("MultiHeadAttention", QUERY, KEY, VALUE, *others, **HEADS, **settings)


def itself(*others: Data | np.ndarray | None, **settings: Any) -> Case:
    return case("MultiHeadAttention", QUERY, QUERY_2, VALUE_2, *others, **HEADS, **settings)


QUERY_2, VALUE_2 = data("batch", "length", 8), data("batch", "length", 8)


def rotary(x: Data, positions: Data, **settings: Any) -> Case:
    return case("RotaryEmbedding", x, positions, *TABLES, **settings)


PLACES = Data(np.array([[0, 1, 2, 3, 4], [2, 3, 4, 5, 6]]), ("batch", "length"))
FIRST_PLACE = Data(np.array([3]), (1,))
IMAGE, KERNEL = data("batch", 3, 6, 5), weight(4, 3, 3, 3)
EMBEDDING = (
    IDS,
    SEGMENTS,
    TABLE_OF_WORDS,
    TABLE_OF_POSITIONS,
    TABLE_OF_SEGMENTS,
    weight(8),
    weight(8),
)

CASES: dict[str, Case] = {
    "Gelu": case("Gelu", X),
    "BiasGelu": case("BiasGelu", X, weight(8)),
    "FastGelu": case("FastGelu", X),
    "FastGelu, bias": case("FastGelu", X, weight(8)),
    "QuickGelu": case("QuickGelu", X),
    "QuickGelu, alpha": case("QuickGelu", X, alpha=1.0),
    "FusedConv, Relu": case("FusedConv", IMAGE, KERNEL, weight(4), activation="Relu"),
    "FusedConv, sum": case(
        "FusedConv",
        IMAGE,
        KERNEL,
        weight(4),
        data("batch", 4, 6, 5),
        activation="Relu",
        pads=[1] * 4,
    ),
    "FusedConv, no bias": case(
        "FusedConv", IMAGE, KERNEL, activation="LeakyRelu", activation_params=[0.2], strides=[2, 1]
    ),
    "FusedConv, Clip": case(
        "FusedConv", IMAGE, KERNEL, activation="Clip", activation_params=[-1.0, 2.0]
    ),
    "FusedConv, HardSigmoid": case(
        "FusedConv", IMAGE, KERNEL, activation="HardSigmoid", activation_params=[0.1, 0.4]
    ),
    "FusedConv, Tanh": case("FusedConv", IMAGE, KERNEL, activation="Tanh", group=1),
    "FusedConv, Sigmoid": case(
        "FusedConv", IMAGE, KERNEL, activation="Sigmoid", auto_pad="SAME_UPPER"
    ),
    "FusedGemm, Relu": case(
        "FusedGemm", data("batch", 6), weight(6, 4), weight(4), activation="Relu"
    ),
    "FusedGemm, LeakyRelu": case(
        "FusedGemm",
        data("batch", 6),
        weight(4, 6),
        weight(4),
        activation="LeakyRelu",
        activation_alpha=0.3,
        transB=1,
        alpha=0.5,
        beta=2.0,
    ),
    "FusedGemm, Selu": case(
        "FusedGemm",
        data("batch", 6),
        weight(6, 4),
        activation="Selu",
        activation_alpha=1.5,
        activation_gamma=1.2,
    ),
    "FusedGemm, HardSigmoid": case(
        "FusedGemm",
        data("batch", 6),
        weight(6, 4),
        activation="HardSigmoid",
        activation_alpha=0.3,
        activation_beta=0.4,
    ),
    "FusedGemm, ThresholdedRelu": case(
        "FusedGemm",
        data("batch", 6),
        weight(6, 4),
        activation="ThresholdedRelu",
        activation_alpha=0.7,
    ),
    "FusedMatMul": case("FusedMatMul", X, weight(8, 3), alpha=0.3),
    "FusedMatMul, both turned": case(
        "FusedMatMul", data("batch", 8, "length"), weight(3, 8), alpha=0.5, transA=1, transB=1
    ),
    "FusedMatMul, batch turned": case(
        "FusedMatMul", data("length", "batch", 8), weight(2, 8, 3), transBatchA=1
    ),
    "FusedMatMul, all turned": case(
        "FusedMatMul",
        data(8, "batch", "length"),
        weight(3, 2, 8),
        transBatchA=1,
        transA=1,
        transBatchB=1,
        transB=1,
    ),
    "TransposeMatMul": case("TransposeMatMul", X, weight(3, 8), transB=1),
    "LayerNormalization before opset 17": case(
        "LayerNormalization", X, weight(8), weight(8), domain="", opset=14, epsilon=1e-3
    ),
    "SimplifiedLayerNormalization": case(
        "SimplifiedLayerNormalization", X, weight(8), domain="", outputs=(0, 1), epsilon=1e-3
    ),
    "SimplifiedLayerNormalization, two axes": case(
        "SimplifiedLayerNormalization",
        data("batch", 3, 8),
        weight(3, 8),
        domain="",
        opset=13,
        axis=1,
    ),
    "SkipLayerNormalization": case(
        "SkipLayerNormalization",
        X,
        QUERY,
        weight(8),
        weight(8),
        weight(8),
        outputs=(0, 3),
        epsilon=1e-5,
    ),
    "SkipLayerNormalization, no shift": case("SkipLayerNormalization", X, QUERY, weight(8)),
    "SkipLayerNormalization, repeated": case(
        "SkipLayerNormalization", X, data("length", 8), weight(8), weight(8)
    ),
    "SkipSimplifiedLayerNormalization": case(
        "SkipSimplifiedLayerNormalization", X, QUERY, weight(8), outputs=(0, 3), epsilon=1e-6
    ),
    "SkipSimplifiedLayerNormalization, bias": case(
        "SkipSimplifiedLayerNormalization", X, QUERY, weight(8), weight(8), since=NEWER
    ),
    "EmbedLayerNormalization": case("EmbedLayerNormalization", *EMBEDDING, outputs=(0, 1)),
    "EmbedLayerNormalization, mask": case(
        "EmbedLayerNormalization", *EMBEDDING, RAW, outputs=(0, 1, 2), epsilon=1e-5
    ),
    "EmbedLayerNormalization, positions": case(
        "EmbedLayerNormalization",
        *EMBEDDING,
        None,
        integers(PLACES.array, "batch", "length"),
        outputs=(0, 1),
    ),
    "EmbedLayerNormalization, no segments": case(
        "EmbedLayerNormalization", IDS, None, *EMBEDDING[2:4], None, *EMBEDDING[5:], outputs=(0, 1)
    ),
    "RotaryEmbedding": rotary(X, PLACES),
    "RotaryEmbedding, interleaved": rotary(X, PLACES, interleaved=1),
    "RotaryEmbedding, first position": rotary(X, FIRST_PLACE),
    "RotaryEmbedding, of heads": rotary(data("batch", 2, "length", 4), PLACES),
    "RotaryEmbedding, of heads, first position": rotary(data("batch", 2, "length", 4), FIRST_PLACE),
    "RotaryEmbedding, in part": rotary(
        data("batch", "length", 16), PLACES, rotary_embedding_dim=4, num_heads=2
    ),
    "RotaryEmbedding, in part, interleaved": rotary(
        data("batch", 2, "length", 8), PLACES, rotary_embedding_dim=4, num_heads=2, interleaved=1
    ),
    "Attention": attention(),
    "Attention, no bias": attention(bias=False, scale=0.3, since=NEWER),
    "Attention, unidirectional": attention(unidirectional=1),
    "Attention, raw mask": attention(RAW),
    "Attention, raw mask, unidirectional": attention(
        RAW, unidirectional=1, mask_filter_value=-50.0
    ),
    "Attention, mask of queries": attention(
        integers(_RANDOM.integers(2, size=(2, 5, 5)), "batch", "length", "length")
    ),
    "Attention, ends": attention(integers([4, 2], "batch")),
    "Attention, ends and beginnings": attention(integers([5, 4, 1, 2], 4)),
    "Attention, bias of scores": attention(None, None, data("batch", 2, "length", "length")),
    "Attention, past": attention(
        integers([[0] + [1] * 7, [1] * 8], "batch", "all"),
        data(2, "batch", 2, "past", 4),
        unidirectional=1,
        outputs=(0, 1),
    ),
    "Attention, sizes": case(
        "Attention", X, weight(8, 20), weight(20), qkv_hidden_sizes=[8, 8, 4], **HEADS
    ),
    "MultiHeadAttention": across(),
    "MultiHeadAttention, bias": across(weight(22), scale=0.4),
    "MultiHeadAttention, itself": itself(weight(24), unidirectional=1),
    "MultiHeadAttention, raw mask": across(
        None, integers([[1, 1, 1, 0], [1, 1, 0, 0]], "batch", "keys"), since=NEWER
    ),
    "MultiHeadAttention, ends": across(None, integers([3, 2], "batch"), since=NEWER),
    "MultiHeadAttention, bias of scores": across(
        None, None, data(1, 2, "length", "keys"), since=NEWER
    ),
    "MultiHeadAttention, itself, raw mask": itself(weight(24), RAW),
    "MultiHeadAttention, keys of heads": case(
        "MultiHeadAttention", QUERY, *(data("batch", 2, "keys", 4) for _ in range(2)), **HEADS
    ),
    "MultiHeadAttention, past": itself(
        None,
        None,
        None,
        *(data("batch", 2, "past", 4) for _ in range(2)),
        outputs=(0, 1, 2),
    ),
}
