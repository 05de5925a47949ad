"""Small models that ask for much end in a result or a sentence, soon; `tools/attack/bombs` tries large ones."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from bombs import (
    BOMBS,
    chain,
    doubling_functions,
    loop,
    nested_if,
    reshape_to_axes,
    tile,
    transposed_weight,
    wide,
)
from models import Network
from onnx import helper

import svgd_onnx
from svgd_onnx.conversion import inference
from svgd_onnx.conversion.model import load_model
from svgd_onnx.transforms.canonicalize import canonicalize

# These take a second and more, at any size that says something.
_SLOW = {"growing_loop_256", "wide_8000", "many_weights", "nested_if_20"}


@pytest.fixture(autouse=True)
def _warnings_are_fine() -> None:
    warnings.simplefilter("ignore")


@pytest.mark.parametrize("name", sorted(BOMBS.keys() - _SLOW))
def test_a_bomb_is_looked_at_or_refused(name: str, tmp_path: Path) -> None:
    make, _, size = BOMBS[name]
    onnx.save(make(size), tmp_path / "bomb.onnx")
    try:
        svgd_onnx.inspect(tmp_path / "bomb.onnx", target="onnx")
    except svgd_onnx.UserError as refused:
        assert len(str(refused)) < 1000


def refused(model: onnx.ModelProto, tmp_path: Path) -> str:
    with pytest.raises(svgd_onnx.UserError) as error:
        svgd_onnx.convert(model, tmp_path / "out", target="onnx")
    assert not (tmp_path / "out").exists()
    return str(error.value)


def test_functions_that_double_are_counted_and_not_written_out(tmp_path: Path) -> None:
    assert "has 4,194,305 nodes" in refused(doubling_functions(22), tmp_path)


def test_what_a_node_makes_has_a_bound_on_its_readers(tmp_path: Path) -> None:
    assert "9,000 nodes of the model read 'tanh_0'" in refused(wide(9_000), tmp_path)


def test_a_value_may_have_as_many_axes_as_an_array(tmp_path: Path) -> None:
    assert "has 65 axes: it may have 64" in refused(reshape_to_axes(65), tmp_path)


def test_bodies_may_lie_in_bodies_to_a_depth(tmp_path: Path) -> None:
    assert "more than 8 graphs, one in another" in refused(nested_if(10), tmp_path)
    svgd_onnx.convert(nested_if(2), tmp_path / "out", target="onnx", verify=False)


def test_a_file_nested_deeper_than_protobuf_reads(tmp_path: Path) -> None:
    def field(number: int, content: bytes) -> bytes:
        length, encoded = len(content), bytearray()
        while length > 0x7F:
            encoded.append(length & 0x7F | 0x80)
            length >>= 7
        return bytes([number << 3 | 2, *encoded, length]) + content

    graph = b""
    for _ in range(5000):  # a graph in an attribute of a node
        graph = field(1, field(5, field(6, graph)))
    (tmp_path / "deep.onnx").write_bytes(field(7, graph))
    with pytest.raises(svgd_onnx.UserError, match="not a valid ONNX model"):
        svgd_onnx.inspect(tmp_path / "deep.onnx")


def test_what_is_too_large_to_be_computed_ahead_stays_in_the_graph() -> None:
    def operators(size: int) -> set[str]:
        return {node.op_type for node in canonicalize(load_model(tile(size))).graph}

    assert "Tile" not in operators(1 << 20)
    assert "Tile" in operators(1 << 26)


def test_all_that_is_computed_ahead_has_a_bound_together() -> None:
    net, value = Network(), "x"
    net.constant("one", np.array([1], np.int64))
    net.constant("times", np.array([1 << 22], np.int64))
    for _ in range(8):  # of 32 MB each
        long = net.node("Cast", net.node("Tile", "one", "times"), to=onnx.TensorProto.FLOAT)
        value = net.node("Add", value, net.node("ReduceMean", long, keepdims=0))
    net.node("MatMul", value, net.weight("w", 4, 4), output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 4)})
    graph = canonicalize(load_model(model)).graph
    computed = sum(value.const_value.nbytes for value in graph.initializers.values())
    assert computed <= 1 << 27
    assert any(node.op_type == "Tile" for node in graph)


def test_a_large_value_is_not_tried_on_made_up_data(tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(tile(1 << 29), tmp_path / "out", target="onnx")
    assert manifest.verified is None
    assert "alone has 2,147,483,648 bytes" in str(manifest.unverified)
    with pytest.raises(svgd_onnx.UserError, match="alone has 2,147,483,648 bytes"):
        svgd_onnx.check(tile(1 << 29), target="onnx")


def test_sizes_are_not_followed_through_long_vectors(tmp_path: Path) -> None:
    net = Network()
    value = net.node("Shape", "x")
    for _ in range(40):
        value = net.node("Concat", value, value, axis=0)
    last = net.node("Gather", value, net.constant("place", np.array(-1)))
    net.node(
        "MatMul",
        net.node("Add", "x", net.node("Cast", last, to=1)),
        net.weight("w", 4, 4),
        output="y",
    )
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 4)})
    assert "bytes: it may have" in refused(model, tmp_path)


def test_sizes_are_not_followed_through_vectors_that_a_file_says_are_long(tmp_path: Path) -> None:
    net = Network()
    size = net.node("Squeeze", net.node("Shape", "x", start=0, end=1))
    last = net.node("Cast", size, to=onnx.TensorProto.FLOAT)
    net.node("MatMul", net.node("Mul", "x", last), net.weight("w", 4, 4), output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 4)})
    lie = helper.make_tensor_value_info(size, onnx.TensorProto.INT64, [1 << 40])
    model.graph.value_info.append(lie)
    assert "has 8,796,093,022,208 bytes: it may have" in refused(model, tmp_path)


def test_a_chain_that_is_followed_by_calls_is_refused_and_no_error(tmp_path: Path) -> None:
    assert "longer chains" in refused(transposed_weight(1000), tmp_path)


def test_a_chain_of_layers_may_be_long(tmp_path: Path) -> None:
    svgd_onnx.convert(chain(400), tmp_path / "out", target="onnx", verify=False)


def test_a_loop_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_MOST_SECONDS", 0.1)
    manifest = svgd_onnx.convert(loop(10**9), tmp_path / "out", target="onnx")
    assert "has a Loop, and had not ended" in str(manifest.unverified)


@pytest.mark.parametrize("dims", [[10**12], [-4], [2**62, 2**62], [3]])
def test_an_initializer_without_its_numbers(dims: list[int], tmp_path: Path) -> None:
    model = chain(1)
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].dims[:] = dims
    assert "'w'" in refused(model, tmp_path)


def test_a_sparse_tensor_is_named(tmp_path: Path) -> None:
    model = chain(1)
    values = helper.make_tensor("thin", onnx.TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("places", onnx.TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [10**12]))
    assert "'thin' of the model is sparse" in refused(model, tmp_path)


@pytest.mark.parametrize("name", ["kernel_shape", "strides", "dilations"])
@pytest.mark.parametrize("number", [0, -1])
def test_a_window_of_none(name: str, number: int, tmp_path: Path) -> None:
    """onnxruntime's gradient builder divides by a stride, which ended the process."""
    net = Network()
    image = net.node("Reshape", "x", net.constant("sizes", np.array([-1, 1, 2, 2])))
    attributes = {"kernel_shape": [1, 1], name: [number, 1]}
    pooled = net.node("MaxPool", net.node("Relu", image), **attributes)
    net.node("MatMul", net.node("Flatten", pooled), net.weight("w", 4, 4), output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 4)}, check=False)
    assert f"has {name} of {number}" in refused(model, tmp_path)


def test_memory_that_does_not_do_is_said() -> None:
    from svgd_onnx.conversion.bounds import out_of_bounds

    with pytest.raises(svgd_onnx.UserError, match="needs more memory"), out_of_bounds():
        np.zeros(1 << 62, np.int8)
