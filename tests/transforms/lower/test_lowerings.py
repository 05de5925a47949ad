"""Every operator that is lowered computes what onnxruntime's own kernel does."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from lowerings import LOWERINGS
from onnx import helper
from training_nodes import Setting

import svgd_onnx
from svgd_onnx.runtime import has_training
from svgd_onnx.transforms.lower import RULES, Lower


def model_of(
    setting: Setting, opset: int, results: list[np.ndarray] | None, *, fixed: bool
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A graph of the node alone, its outputs read by Identity, and what to feed it.

    Sizes of floating-point tensors are left open unless `fixed`; those of results are written down
    where they are known.
    """

    def info(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
        dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        shape = [
            size if fixed or array.dtype != np.float32 else f"{name}.{axis}"
            for axis, size in enumerate(array.shape)
        ]
        return helper.make_tensor_value_info(name, dtype, shape)

    names = ["" if array is None else f"in{place}" for place, array in enumerate(setting.inputs)]
    arrays = {name: array for name, array in zip(names, setting.inputs) if array is not None}
    constants = {names[place] for place in setting.constant}
    nodes = []
    if setting.forward is not None and setting.x is not None:
        nodes.append(setting.forward)
        arrays["x"] = setting.x
        names.append("places")
    outputs = [f"out{place}" if wanted else "" for place, wanted in enumerate(setting.outputs)]
    domain = RULES[setting.op_type].domain
    nodes.append(
        helper.make_node(setting.op_type, names, outputs, domain=domain, **setting.attributes)
    )
    present = [name for name in outputs if name]
    nodes += [helper.make_node("Identity", [name], [f"{name}.read"]) for name in present]
    if results is not None:
        infos = [info(name, array) for name, array in zip(present, results)]
    elif setting.shape is not None:
        infos = [info(present[0], np.zeros(setting.shape, np.float32))]
    else:
        infos = []
    graph = helper.make_graph(
        nodes,
        "graph",
        [info(name, array) for name, array in arrays.items() if name not in constants],
        [helper.make_empty_tensor_value_info(f"{name}.read") for name in present],
        [onnx.numpy_helper.from_array(arrays[name], name) for name in sorted(constants)],
        value_info=infos,
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model, {name: array for name, array in arrays.items() if name not in constants}


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    # some kernels overwrite what they are fed
    results: list[np.ndarray] = session.run(None, {k: v.copy() for k, v in feeds.items()})
    return results


@pytest.mark.skipif(not has_training(), reason="onnxruntime-training is not installed")
@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "open"])
@pytest.mark.parametrize("name", LOWERINGS)
def test_a_lowering_computes_what_the_kernel_does(name: str, fixed: bool, opset: int) -> None:
    setting = LOWERINGS[name]
    if setting.expected is None:
        expected = run(*model_of(setting, opset, None, fixed=True))
    else:
        expected = [setting.expected]
    model, feeds = model_of(setting, opset, expected, fixed=fixed)
    lowered = ir.from_proto(model)
    Lower()(lowered)
    for actual, wanted in zip(run(ir.to_proto(lowered), feeds), expected):
        assert actual.shape == wanted.shape and actual.dtype == wanted.dtype
        if setting.op_type == "BroadcastGradientArgs":
            actual, wanted = np.sort(actual), np.sort(wanted)  # axes, in any order
        largest = float(np.abs(wanted).max(initial=0))
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6 * largest)


def test_what_cannot_be_lowered_is_refused_with_the_reason() -> None:
    matrices = [np.ones((2, 3, 3), np.float32)] * 2
    setting = Setting("FusedMatMul", matrices, {"transBatchA": 1})
    model, _ = model_of(setting, 17, None, fixed=True)
    with pytest.raises(
        svgd_onnx.UserError, match=r"FusedMatMul \('out0': it transposes axes of the batch\)"
    ):
        Lower()(ir.from_proto(model))


def test_every_lowering_is_tested() -> None:
    assert {setting.op_type for setting in LOWERINGS.values()} == set(RULES)
