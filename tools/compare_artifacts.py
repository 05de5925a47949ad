"""svgd-onnx next to onnxruntime's own `generate_artifacts`, on the fixtures and the light models.

    python3.11 -m venv /tmp/compare
    /tmp/compare/bin/pip install -r tools/requirements-compare.txt --editable .
    /tmp/compare/bin/python -m tools.compare_artifacts [NAME...]

onnxruntime.training imports PyTorch, hence an environment of its own. Each model is converted by both, and
both artifacts make one training step on random data; "yes" is a finite loss. `generate_artifacts` gets the
model as it is, and if it fails on that, in our canonical form (weights as initializers, recent opset,
constants folded): "prepared". It is told which parameters to train and which loss to use, as we are.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from tools import light_models

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"
BATCH, LENGTH, TOKENS = 2, 7, 16
REGRESSIONS = ("gpt2", "mlp_regressor", "mlp_binary")
TIME_LIMIT = 300


def main() -> None:
    """Prints the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare_artifacts")
    parser.add_argument("names", nargs="*", help="parts of names; all models if none")
    names = parser.parse_args().names
    print("| model | exporter | nodes | parameters | seconds | ours | generate_artifacts |")
    print("| --- | --- | ---: | ---: | ---: | --- | --- |")
    for model, exporter, load in models():
        if names and not any(name in f"{model}_{exporter}" for name in names):
            continue
        nodes, parameters = apart(_size, load)
        loss = "mse" if model.startswith(REGRESSIONS) else "cross-entropy"
        seconds, ours = apart(_ours, load, loss)
        theirs = apart(_theirs, load, loss)[1]
        print(
            f"| {model} | {exporter} | {nodes} | {parameters} | {seconds} | {ours} | {theirs} |",
            flush=True,
        )


def models() -> Iterator[tuple[str, str, Callable[[], onnx.ModelProto]]]:
    """Name, exporter and loader of each."""
    exporters = ("torch", "transformers", "keras", "skl2onnx")
    for path in sorted(FIXTURES.glob("*.onnx")):
        words = path.stem.split("_")
        start = next(place for place, word in enumerate(words) if word in exporters)
        yield (
            "_".join(words[:start]),
            "_".join(words[start:]),
            lambda path=path: onnx.load(path),
        )
    for name in light_models.NAMES:
        yield name, "light", lambda name=name: light_models.load(name)


def apart(function: Callable[..., tuple[Any, Any]], *arguments: Any) -> tuple[Any, Any]:
    """What a function returns in a process of its own, which may crash, fail or hang."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def run() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            send.send(function(*arguments))
        except Exception as error:
            send.send(("-", f"no: {reason(error)}"))

    process = context.Process(target=run)
    process.start()
    send.close()
    try:
        if not receive.poll(TIME_LIMIT):
            process.kill()
            return "-", f"no: nothing after {TIME_LIMIT} s"
        return receive.recv()
    except EOFError:
        process.join()
        return "-", f"no: crash, signal {-(process.exitcode or 0)}"
    finally:
        process.join()


def reason(error: Exception) -> str:
    """The first line of an error, from onnxruntime without the place in its source."""
    line = (str(error).strip().splitlines() or [""])[0]
    said = re.split(r" was false\. | : RUNTIME_EXCEPTION : |/onnxruntime_src/\S+ ", line)[-1]
    return f"{type(error).__name__}: {said[:160]}".replace("|", "/")


def _size(load: Callable[[], onnx.ModelProto]) -> tuple[int, int]:
    model = load()
    return len(model.graph.node), sum(
        int(np.prod(item.dims)) for item in model.graph.initializer if item.data_type == 1
    )


def _ours(load: Callable[[], onnx.ModelProto], loss: str) -> tuple[str, str]:
    import svgd_onnx

    model = load()
    batch = random_batch(model, loss)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        svgd_onnx.convert(model, folder, loss=loss, prediction=prediction(model), force=True)
        seconds = time.perf_counter() - start
        trainer = svgd_onnx.Trainer(folder)
        label = trainer.manifest.arrays[-1]
        # axes of size 1 at the end of the prediction do not count
        batch[label.name] = batch[label.name].reshape(batch[label.name].shape[: len(label.shape)])
        value = trainer.train_step(batch, 0.01)
    return f"{seconds:.2f}", "yes" if np.isfinite(value) else f"no: the loss is {value}"


def _theirs(load: Callable[[], onnx.ModelProto], loss: str) -> tuple[str, str]:
    from svgd_onnx.transforms.canonicalize import canonicalize
    from svgd_onnx.transforms.parameters import select_parameters

    model = load()
    batch = random_batch(model, loss)
    canonical = canonicalize(ir.from_proto(model))
    trained = select_parameters(canonical).trainable
    present = {item.name for item in model.graph.initializer}
    direct = apart(_generate, model, [name for name in trained if name in present], loss, batch)
    if direct[1] == "yes":
        return direct
    prepared = apart(_generate, ir.to_proto(canonical), list(trained), loss, batch)
    return ("", "prepared") if prepared[1] == "yes" else prepared


def _generate(
    model: onnx.ModelProto, trained: list[str], loss: str, batch: dict[str, np.ndarray]
) -> tuple[str, str]:
    from onnxruntime.training import artifacts
    from onnxruntime.training.api import CheckpointState, Module, Optimizer

    losses = {
        "cross-entropy": artifacts.LossType.CrossEntropyLoss,
        "mse": artifacts.LossType.MSELoss,
    }
    onnx.IR_VERSION = (
        10  # onnxruntime 1.19 reads no later one, and generate_artifacts would write it
    )
    with tempfile.TemporaryDirectory() as folder:
        artifacts.generate_artifacts(
            model,
            requires_grad=trained,
            loss=losses[loss],
            optimizer=artifacts.OptimType.AdamW,
            artifact_directory=folder,
            loss_input_names=[prediction(model)],
        )
        state = CheckpointState.load_checkpoint(f"{folder}/checkpoint")
        module = Module(f"{folder}/training_model.onnx", state, f"{folder}/eval_model.onnx")
        optimizer = Optimizer(f"{folder}/optimizer_model.onnx", module)
        module.train()
        label = batch["labels" if loss == "cross-entropy" else "target"]
        inputs = [batch[value.name] for value in model.graph.input]
        value = module(*inputs, label)
        value = float(np.ravel(value[0] if isinstance(value, tuple | list) else value)[0])
        optimizer.step()
    return "", "yes" if np.isfinite(value) else f"no: the loss is {value}"


def prediction(model: onnx.ModelProto) -> str:
    """The output that the loss compares: classifiers of skl2onnx have a label before it."""
    return model.graph.output[-1].name


def random_batch(model: onnx.ModelProto, loss: str) -> dict[str, np.ndarray]:
    """Normal floats, small integers, masks of ones; labels or a target."""
    import onnxruntime

    random = np.random.default_rng(0)
    batch = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        shape = [BATCH, *(dim.dim_value or LENGTH for dim in tensor.shape.dim[1:])]
        if "mask" in value.name:
            array = np.ones(shape)
        elif dtype.kind == "i":
            array = random.integers(0, 2 if "type" in value.name else TOKENS, shape)
        else:
            array = random.normal(size=shape)
        batch[value.name] = array.astype(dtype)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (output,) = session.run([prediction(model)], batch)
    if loss == "cross-entropy":
        shape = (BATCH, *output.shape[2:])
        batch["labels"] = random.integers(0, output.shape[1], shape)
    else:
        batch["target"] = random.uniform(size=output.shape).astype(np.float32)
    return batch


if __name__ == "__main__":
    main()
