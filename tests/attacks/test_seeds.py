"""Seeds of 64 bits come back as they were, and trainers of one process do not disturb each other."""

from __future__ import annotations

import threading
from pathlib import Path

import models
import onnx
import pytest
from models import Network

import svgd_onnx
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.draws import DRAWS

MODEL = models.dropout()
SEEDS = [0, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]


@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_of_64_bits_comes_back_as_it_was(target: str, tmp_path: Path) -> None:
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        svgd_onnx.convert(MODEL, folder, target=target, verify=False)
        trainer = svgd_onnx.Trainer(folder, seed=seed, threads=1)
        trainer.train_step(models.examples(MODEL), 0.1)
        trainer.save()
        assert svgd_onnx.Trainer(folder).seed == seed


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_is_none_is_refused(seed: int, tmp_path: Path) -> None:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target="onnx", verify=False)
    with pytest.raises(svgd_onnx.UserError, match=f"seed is {seed}, but must be from 0 to"):
        svgd_onnx.Trainer(tmp_path / "artifacts", seed=seed)


@pytest.mark.parametrize("target", TARGETS)
def test_trainers_of_several_threads_draw_as_they_do_alone(target: str, tmp_path: Path) -> None:
    data = models.examples(MODEL, 40)
    weights: dict[str, bytes] = {}

    def train(name: str) -> None:
        trainer = svgd_onnx.Trainer(tmp_path / name, seed=3, threads=1)
        trainer.train(data, steps=60, batch_size=8, learning_rate=0.05)
        names = [each.name for each in trainer.manifest.parameters]
        weights[name] = b"".join(trainer.tensor(each).tobytes() for each in names)

    names = ["alone", "first", "second", "third", "fourth"]
    for name in names:
        svgd_onnx.convert(MODEL, tmp_path / name, target=target, verify=False)
    train("alone")
    threads = [threading.Thread(target=train, args=(name,)) for name in names[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(weights) == len(names)
    assert set(weights.values()) == {weights["alone"]}


def noisy(op_type: str) -> onnx.ModelProto:
    """x (batch, 6) -> dense, what is drawn added to it or times it, dense -> logits (batch, 4)."""
    net = Network()
    h = net.node("Tanh", net.node("MatMul", "x", net.weight("first", 6, 5)))
    if op_type == "Dropout":
        h = net.node(op_type, h, seed=7)  # its own: ONNX has it as an attribute
    elif op_type == "Multinomial":
        h = net.node("Add", h, net.node("Cast", net.node(op_type, h), to=onnx.TensorProto.FLOAT))
    elif op_type == "Bernoulli":
        h = net.node("Mul", h, net.node(op_type, net.node("Sigmoid", h)))
    else:
        like = op_type.endswith("Like")
        h = net.node(
            "Add", h, net.node(op_type, *([h] if like else []), **({} if like else {"shape": [5]}))
        )
    net.node("MatMul", h, net.weight("second", 5, 4), output="logits")
    return net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("op_type", ["Dropout", *DRAWS])
def test_what_is_drawn_is_a_function_of_the_seed_and_the_step(
    target: str, op_type: str, tmp_path: Path
) -> None:
    """In two trainers at a time, in one that is resumed, and in another evaluation."""
    model = noisy(op_type)
    data = models.examples(model)
    for name in ("one", "two", "resumed"):
        svgd_onnx.convert(model, tmp_path / name, target=target, verify=name == "one")

    def weights(trainer: svgd_onnx.Trainer) -> bytes:
        return trainer.tensor("first").tobytes() + trainer.tensor("second").tobytes()

    def opened(name: str) -> svgd_onnx.Trainer:
        return svgd_onnx.Trainer(tmp_path / name, seed=5, threads=1)

    one, two = opened("one"), opened("two")
    for _ in range(4):
        one.train_step(data, 0.1)
        two.train_step(data, 0.1)
    for steps in (1, 3):
        trainer = opened("resumed")
        for _ in range(steps):
            trainer.train_step(data, 0.1)
        trainer.save()
    assert weights(one) == weights(two) == weights(opened("resumed"))
    assert one.evaluate(data) == one.evaluate(data) == opened("resumed").evaluate(data)
