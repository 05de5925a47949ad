"""If, Loop and Scan are differentiated in place, weights in bodies trained like any others."""

from __future__ import annotations

from pathlib import Path

import control_flow_models as flows
import numpy as np
import onnx
import onnxruntime
import pytest
from reference import virtual_step

import svgd_onnx
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.runtime import has_training

TARGETS = ("ort-training", "onnx") if has_training() else ("onnx",)


def batch_of(model: onnx.ModelProto, size: int = 3) -> dict[str, np.ndarray]:
    return example_batch(model, batch_size=size, random_size={"*": 5}, loss="mse")


@pytest.mark.parametrize("name", flows.MODELS)
def test_gradients_are_those_of_central_differences(name: str) -> None:
    checks = svgd_onnx.check(flows.MODELS[name](), batch_size=3, random_size={"*": 5}, loss="mse")
    assert max(check.error for check in checks) < 1e-5, checks


def test_a_recurrent_layer_of_the_usual_size() -> None:
    model = flows.loop_rnn(turns=50, inputs=32, hidden=64, deviation=0.1)
    checks = svgd_onnx.check(model, batch_size=4, loss="mse", directions=1)
    assert max(check.error for check in checks) < 1e-4, checks


@pytest.mark.parametrize(
    "name", ["loop_rnn", "loop_in_branch", "row_in_branch", "if_in_loop", "scan_of_two"]
)
def test_both_targets_and_both_forms_of_t_train_alike(name: str, tmp_path: Path) -> None:
    model = flows.MODELS[name]()
    batch = batch_of(model, 5)  # as many as turns: scan_of_two has them on its first axis
    losses = []
    for target in TARGETS:
        for kernel in ("fused", "portable"):
            folder = tmp_path / f"{target}-{kernel}"
            options = {"target": target, "t_kernel": kernel, "loss": "mse", "verify": False}
            svgd_onnx.convert(model, folder, **options)
            trainer = svgd_onnx.Trainer(folder, threads=1)
            losses.append([trainer.train_step(batch, 0.1) for _ in range(4)])
    assert losses[0][-1] < losses[0][0]
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-5)


def recurrent_gradients(
    weights: dict[str, np.ndarray], x: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `loop_rnn` with mse: x_t, h before each turn, the gradient before tanh; (turns * batch, ...)."""
    states = [np.zeros((len(x), weights["u"].shape[0]))]
    for turn in range(x.shape[1]):
        total = x[:, turn] @ weights["w"] + states[-1] @ weights["u"] + weights["b1"]
        states.append(np.tanh(total))
    difference = states[-1] @ weights["v"] - target
    back, gradients = 2 * difference / difference.size @ weights["v"].T, []
    for state in reversed(states[1:]):
        gradients.insert(0, back * (1 - state**2))
        back = gradients[0] @ weights["u"].T
    rows = np.concatenate(x.transpose(1, 0, 2))
    return rows, np.concatenate(states[:-1]), np.concatenate(gradients)


@pytest.mark.parametrize("target", TARGETS)
def test_t_acts_on_the_rows_of_all_turns(target: str, tmp_path: Path) -> None:
    """One r for a weight of a body, shared by its turns: the mean is over turns and examples."""
    model = flows.loop_rnn()
    settings = {"scale": 0.3, "rho": 0.7, "epsilon": 1e-5}
    options = {"target": target, "loss": "mse", "verify": False, **settings}
    svgd_onnx.convert(model, tmp_path / "a", **options)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    r = {"w": np.zeros(6), "u": np.zeros(6)}
    for step in range(3):
        weights = {
            name: np.array(trainer.tensor(name), np.float64) for name in ("w", "u", "b1", "v")
        }
        batch = example_batch(model, batch_size=4, loss="mse", seed=step)
        x, before, dy = recurrent_gradients(
            weights, batch["x"].astype(np.float64), batch["target"].astype(np.float64)
        )
        trainer.train_step(batch, 0.5)
        for name, rows in (("w", x), ("u", before)):
            virtual, r[name] = virtual_step(dy, r[name], **settings)
            expected = weights[name] - 0.5 * rows.T @ virtual
            np.testing.assert_allclose(trainer.tensor(name), expected, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(trainer.tensor(f"svgd.r.{name}"), r[name], rtol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
def test_the_branch_not_taken_has_the_gradient_0(target: str, tmp_path: Path) -> None:
    """Its weight stays, and its r is what T makes of a gradient of 0."""
    model = flows.loop_in_branch()
    svgd_onnx.convert(model, tmp_path / "a", target=target, loss="mse", rho=0.5)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    x, y = np.ones((3, 4), np.float32), np.zeros((3, 4), np.float32)
    trainer.train_step({"x": x, "target": y}, 0.1)
    first = {name: np.array(trainer.tensor(name)) for name in ("u", "w", "svgd.r.u", "svgd.r.w")}
    assert not first["svgd.r.w"].any()
    assert first["svgd.r.u"].all()
    trainer.train_step({"x": -x, "target": y}, 0.1)
    np.testing.assert_array_equal(trainer.tensor("u"), first["u"])
    assert np.abs(trainer.tensor("w") - first["w"]).max() > 0
    np.testing.assert_allclose(trainer.tensor("svgd.r.u"), 0.5 * first["svgd.r.u"], rtol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["early_exit", "if_in_loop", "growing_state"])
def test_the_exported_model_has_the_trained_weights(name: str, target: str, tmp_path: Path) -> None:
    model = flows.MODELS[name]()
    svgd_onnx.convert(model, tmp_path / "a", target=target, loss="mse")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    batch = batch_of(model)
    for _ in range(3):
        trainer.train_step(batch, 0.1)
    loss = trainer.train_step(batch, 0.0)
    trainer.export(tmp_path / "trained.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "trained.onnx")
    (y,) = session.run(None, {"x": batch["x"]})
    assert np.mean(np.square(y - batch["target"])) == pytest.approx(loss, rel=1e-5)


def test_an_if_of_a_constant_condition_is_inlined(tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(
        flows.constant_condition(), tmp_path / "a", target="onnx", loss="mse"
    )
    step = onnx.load(tmp_path / "a" / "training_step.onnx")
    assert not any(node.op_type == "If" for node in step.graph.node)
    assert [operation.parameter for operation in manifest.operations] == ["w", "v"]


def test_a_dropout_in_a_body_drops_anew_at_each_turn(tmp_path: Path) -> None:
    model = flows.dropout_in_scan()
    svgd_onnx.convert(model, tmp_path / "a", target="onnx", loss="mse")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    batch = batch_of(model)
    losses = [trainer.train_step(batch, 0.0) for _ in range(3)]
    assert len(set(losses)) == 3


def test_what_inspect_says_is_what_convert_does(tmp_path: Path) -> None:
    model = flows.if_in_loop()
    onnx.save(model, tmp_path / "model.onnx")
    inspection = svgd_onnx.inspect(tmp_path / "model.onnx")
    manifest = svgd_onnx.convert(model, tmp_path / "a", target="onnx", loss="mse")
    assert inspection.operations == manifest.operations
    reasons = {each.parameter: each.reason for each in manifest.operations if not each.state}
    assert "turn by turn" in reasons["w"]


def in_a_scan(lines: str, **weights: tuple[int, ...]) -> onnx.ModelProto:
    """x (batch, 3, 4), a slice of which is xt (batch, 4), and `lines` make `next` of xt and `before`."""
    return flows.model(
        f"""g (float[N,3,4] x) => (float[N,4] y)
        <bool yes = {{1}}, int64 trip = {{2}}, float ratio = {{0.5}}> {{
            z = ReduceMean <axes = [1], keepdims = 0> (x)
            y = Scan <num_scan_inputs = 1, scan_input_axes = [1],
                      body = b (float[N,4] before, float[N,4] xt) => (float[N,4] next) {{ {lines} }}> (z, x)
        }}""",
        w=(4, 4),
        **weights,
    )


NORMALIZED = """p = MatMul(xt, w)
    q = BatchNormalization(p, scale, shift, mean, variance)
    next = Add(before, q)"""
STATISTICS: dict[str, tuple[int, ...]] = dict.fromkeys(("scale", "shift", "mean", "variance"), (4,))
DROPPED_WITHIN = """p = MatMul(xt, w)
    next = Loop <body = b2 (int64 j, bool c, float[N,4] s) => (d, e) {
        d = Identity(c) f = Mul(s, w2) g1 = Dropout(f, ratio) e = Add(g1, xt)
    }> (trip, yes, p)"""
UNKNOWN = """p = MatMul(xt, w)
    q = SequenceConstruct(p, before)
    next = ConcatFromSequence <axis = 0> (q)"""


@pytest.mark.parametrize(
    ("lines", "weights", "sentence"),
    [
        (NORMALIZED, STATISTICS, "in a body of control flow, where its running statistics"),
        (UNKNOWN, {}, "in its body there is no gradient of .*its tensors are in a sequence"),
        (DROPPED_WITHIN, {"w2": (4,)}, "Dropout .* would have to be drawn again on the way back"),
    ],
)
def test_what_cannot_be_done_in_a_body_is_refused_by_name(
    lines: str, weights: dict[str, tuple[int, ...]], sentence: str, tmp_path: Path
) -> None:
    train = ["w", *(name for name in weights if name in ("scale", "shift"))]
    with pytest.raises(svgd_onnx.UserError, match=sentence):
        svgd_onnx.convert(
            in_a_scan(lines, **weights), tmp_path / "a", target="onnx", loss="mse", train=train
        )


def test_batch_normalization_in_a_body_trains_with_its_statistics_as_they_are() -> None:
    model = in_a_scan(NORMALIZED, **STATISTICS)
    for each in model.graph.initializer:
        if each.name == "variance":
            each.CopyFrom(onnx.numpy_helper.from_array(np.ones(4, np.float32), "variance"))
    checks = svgd_onnx.check(model, loss="mse", freeze_bn=True)
    assert max(check.error for check in checks) < 1e-5, checks


def test_a_state_that_changes_its_shape_is_refused_where_turns_are_not_known(
    tmp_path: Path,
) -> None:
    model = flows.longer_state(given=", int64 trip")
    with pytest.raises(svgd_onnx.UserError, match="'before' is not known to keep its shape"):
        svgd_onnx.convert(model, tmp_path / "a", target="onnx", loss="mse")


def test_operations_in_bodies_have_no_twins(tmp_path: Path) -> None:
    model = in_a_scan("p = MatMul(xt, w) next = Add(before, p)")
    with pytest.raises(svgd_onnx.UserError, match="bodies of control flow have no twins"):
        svgd_onnx.convert(model, tmp_path / "a", loss="mse", encapsulation="operators")
