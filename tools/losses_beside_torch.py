"""Values and gradients of every loss, beside PyTorch's own.

    python -m tools.losses_beside_torch [--torch PYTHON] [--targets ort-training onnx]

Runs where svgd-onnx is installed; `--torch` names a Python that has PyTorch, by default this one. The
prediction is a parameter as it is, so that what a step of SGD changes is the loss's gradient. A row is a loss
with some settings; its figures are the largest difference of the value and of the gradient from those that
PyTorch has in float64, relative to the largest of PyTorch's. The exit code is 1 if one is beyond 1e-5.

PyTorch has no focal loss and none that mines triplets: those are its autograd's, of the formula. The last two
are losses of one's own, which PyTorch exports (that needs onnxscript there) and svgd-onnx takes from the file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

N, C, P = 12, 5, 3
WEIGHTS = (0.5, 1.0, 2.0, 0.0, 3.0)
_MOST = 1e-5
# So far a step of SGD goes that what it adds to a parameter is not lost in that.
_RATE = 2.0**14


@dataclass(frozen=True)
class Case:
    """A loss with settings, and the same by PyTorch, of (torch.nn.functional, prediction, target)."""

    loss: str
    torch: Callable[[Any, Any, Any], Any]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join([self.loss, *(f"{key}={value}" for key, value in self.settings.items())])


def _cross_entropy(**given: Any) -> Callable[[Any, Any, Any], Any]:
    def loss(of: Any, x: Any, y: Any) -> Any:
        weight = x.new_tensor(given["weight"]) if "weight" in given else None
        return of.cross_entropy(x, y, **{**given, "weight": weight})

    return loss


def _focal(of: Any, x: Any, y: Any) -> Any:
    log_p = of.log_softmax(x, dim=1).gather(1, y.unsqueeze(1))
    return -(((1 - log_p.exp()) ** 2) * log_p).mean()


def _hinge(of: Any, x: Any, y: Any) -> Any:
    return of.multi_margin_loss(x.movedim(1, -1).reshape(-1, C), y.reshape(-1))


def _kl(of: Any, x: Any, t: Any) -> Any:
    return of.kl_div(of.log_softmax(x, dim=1), t, reduction="batchmean") / P


def _triplet(of: Any, x: Any, y: Any) -> Any:
    flat = x.flatten(1)
    apart = (flat.unsqueeze(1) - flat.unsqueeze(0)).norm(dim=2)
    alike = y.unsqueeze(1) == y.unsqueeze(0)
    positive = apart.masked_fill(~alike, -1.0).amax(dim=1)
    negative = apart.masked_fill(alike, float("inf")).amin(dim=1)
    return of.relu(positive - negative + 1).mean()


def _own(of: Any, x: Any, t: Any) -> Any:
    """1 minus the cosine, and half of the squares: what a file of one's own may hold."""
    apart = 1 - of.cosine_similarity(x.flatten(1), t.flatten(1)).mean()
    return apart + 0.5 * of.mse_loss(x, t)


CASES = [
    Case("cross-entropy", _cross_entropy()),
    Case("cross-entropy", _cross_entropy(reduction="sum"), {"reduction": "sum"}),
    Case("cross-entropy", _cross_entropy(ignore_index=1), {"ignore_index": 1}),
    Case("cross-entropy", _cross_entropy(weight=WEIGHTS), {"class_weights": WEIGHTS}),
    Case("cross-entropy", _cross_entropy(label_smoothing=0.1), {"label_smoothing": 0.1}),
    Case("mse", lambda of, x, t: of.mse_loss(x, t)),
    Case("bce-with-logits", lambda of, x, t: of.binary_cross_entropy_with_logits(x, t)),
    Case("l1", lambda of, x, t: of.l1_loss(x, t)),
    Case("huber", lambda of, x, t: of.huber_loss(x, t)),
    Case("kl", _kl),
    Case("focal", _focal),
    Case("hinge", _hinge),
    Case("triplet", _triplet),
    Case("exported.onnx", _own),
    Case("exported_by_torchscript.onnx", _own),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--targets", nargs="+", default=["ort-training", "onnx"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = {f"{i} {kind}": array for i in range(len(CASES)) for kind, array in _data(i).items()}
        np.savez(folder / "data.npz", **data)
        subprocess.run([given.torch, __file__, folder], check=True, stdout=subprocess.DEVNULL)
        expected = dict(np.load(folder / "expected.npz"))
        worst = 0.0
        print(f"{'loss':48} {'target':12} {'value':>9} {'gradient':>9}")
        for number, case in enumerate(CASES):
            for target in given.targets:
                found = _ours(case, target, _data(number), folder / f"{number}-{target}")
                apart = [
                    float(np.abs(ours - theirs).max() / np.abs(theirs).max())
                    for ours, theirs in zip(
                        found, (expected[f"{number} loss"], expected[f"{number} gradient"])
                    )
                ]
                worst = max(worst, *apart)
                print(f"{case.name[:48]:48} {target:12} {apart[0]:9.1e} {apart[1]:9.1e}")
    print(f"The largest difference is {worst:.1e}.")
    sys.exit(worst > _MOST)


def _data(number: int) -> dict[str, np.ndarray]:
    """A prediction (N, C, P), and what a case compares it with."""
    random, loss = np.random.default_rng(number), CASES[number].loss
    prediction = random.normal(size=(N, C, P)).astype(np.float32)
    if loss == "triplet":
        return {"prediction": prediction, "target": np.arange(N) % 4}
    if loss in ("cross-entropy", "focal", "hinge"):
        return {"prediction": prediction, "target": random.integers(C, size=(N, P))}
    target = random.uniform(size=(N, C, P))
    if loss == "kl":
        target /= target.sum(axis=1, keepdims=True)
    return {"prediction": prediction, "target": target.astype(np.float32)}


def _ours(
    case: Case, target: str, data: dict[str, np.ndarray], folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    from onnx import TensorProto, helper, numpy_helper

    import svgd_onnx

    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["flat"]),
            helper.make_node("Reshape", ["flat", "shape"], ["y"]),
        ],
        "a parameter as it is",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", N])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", C, P])],
        [
            numpy_helper.from_array(data["prediction"].reshape(N, -1), "w"),
            numpy_helper.from_array(np.array([0, C, P]), "shape"),
        ],
    )
    own = folder.parent / case.loss
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    settings = svgd_onnx.LossSettings(**case.settings)
    svgd_onnx.convert(
        model,
        folder,
        loss=own if own.is_file() else case.loss,
        loss_settings=settings,
        optimizer="sgd",
        target=target,
    )
    trainer = svgd_onnx.Trainer(folder)
    (label,) = {tensor.name for tensor in trainer.manifest.arrays} - {"x"}
    batch = {"x": np.eye(N, dtype=np.float32), label: data["target"]}
    before = trainer.tensor("w").astype(np.float64)
    loss = trainer.train_step(batch, _RATE)
    gradient = (before - trainer.tensor("w")) / _RATE
    return np.array(loss), gradient.reshape(N, C, P)


def _by_torch(folder: Path) -> None:
    """Reads the data, and writes what PyTorch makes of it in float64."""
    import torch

    data = np.load(folder / "data.npz")
    expected = {}
    for number, case in enumerate(CASES):
        x = torch.tensor(data[f"{number} prediction"], dtype=torch.float64, requires_grad=True)
        target = torch.tensor(data[f"{number} target"])
        if target.is_floating_point():
            target = target.double()
        loss = case.torch(torch.nn.functional, x, target)
        loss.backward()
        expected[f"{number} loss"] = loss.detach().numpy()
        expected[f"{number} gradient"] = x.grad.numpy()
        if case.loss.endswith(".onnx"):
            _export(case, (x.detach().float(), target.float()), folder)
    np.savez(folder / "expected.npz", **expected)


def _export(case: Case, example: tuple[Any, Any], folder: Path) -> None:
    """Writes a loss as PyTorch exports it, with an open batch axis."""
    import torch

    class Loss(torch.nn.Module):  # type: ignore[misc]
        def forward(self, prediction: Any, target: Any) -> Any:
            return case.torch(torch.nn.functional, prediction, target)

    names, traced = ["prediction", "target"], "torchscript" in case.loss
    open_axes: dict[str, Any] = {"dynamic_axes": {name: {0: "n"} for name in names}}
    if not traced:
        open_axes = {"dynamic_shapes": ({0: torch.export.Dim("n")},) * 2}
    torch.onnx.export(
        Loss(), example, folder / case.loss, input_names=names, dynamo=not traced, **open_axes
    )


if __name__ == "__main__":
    if len(sys.argv) == 2 and Path(sys.argv[1]).is_dir():
        _by_torch(Path(sys.argv[1]))
    else:
        main()
