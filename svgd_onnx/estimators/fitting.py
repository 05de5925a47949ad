"""From a model, examples and options to the trained model, in a folder of artifacts."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx

from svgd_onnx import argument_types
from svgd_onnx.conversion.convert import convert
from svgd_onnx.errors import UserError, counted, listed
from svgd_onnx.files import PathLike, temporary_folder
from svgd_onnx.manifest import Dimension, Manifest, Tensor
from svgd_onnx.training.callbacks import Callback, Record
from svgd_onnx.training.length import check_positive
from svgd_onnx.training.trainer import Trainer

Factory = Callable[[int, int], onnx.ModelProto]
Model = PathLike | onnx.ModelProto | Factory

# What an estimator has parameters of its own for, or decides itself.
_OWN = ("model", "output", "force", "loss", "optimizer", "target")


@dataclass(frozen=True)
class Options:
    """How to fit; see `OnnxClassifier`, whose parameters these are."""

    loss: str
    optimizer: str
    learning_rate: float
    epochs: int
    batch_size: int
    target: str | None
    convert_options: Mapping[str, Any] | None
    folder: PathLike | None
    threads: int | None
    seed: int


@dataclass(frozen=True)
class Fitted:
    """What fitting made.

    Attributes:
        model: the trained model, an ONNX file's bytes.
        manifest: of the artifacts that trained it.
        losses: the mean loss of the batches of each epoch.
        validation_losses: the loss of the validation data after each epoch; none without such data.
    """

    model: bytes
    manifest: Manifest
    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)


def fit(
    model: PathLike | onnx.ModelProto,
    n_outputs: int,
    examples: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray] | None,
    options: Options,
) -> Fitted:
    """Converts a model, trains it, and exports it.

    Args:
        model: an ONNX file, or the model itself.
        n_outputs: how many classes there are, or numbers to predict.
        examples: X (n, features) or of the model's own shape, and y: int64 (n,), or float32 (n, outputs).
        validation: the same of examples that are not trained on.
        options: how.

    Raises:
        UserError: an option, the model or the examples do not fit.
    """
    given = argument_types.by_name(
        "convert_options", {} if options.convert_options is None else options.convert_options
    )
    unknown = [name for name in given if name not in inspect.signature(convert).parameters]
    if unknown:
        raise UserError(f"convert_options has '{unknown[0]}', which is no keyword of convert.")
    check_positive(batch_size=argument_types.whole_number("batch_size", options.batch_size))
    taken = [name for name in _OWN if name in given]
    if taken:
        raise UserError(
            f"convert_options has {listed(taken)}, which the estimator decides or has a parameter for: leave "
            "that out."
        )
    with temporary_folder() as temporary:
        chosen = temporary / "artifacts" if options.folder in (None, "") else options.folder
        folder = argument_types.path("folder", chosen)
        manifest = convert(
            model,
            folder,
            force=True,
            loss=options.loss,
            optimizer=options.optimizer,
            target=options.target,
            **given,
        )
        _check_model(manifest)
        axis = manifest.loss_settings.class_axis
        if axis is not None:
            check_classes(manifest.logits_shape[axis], n_outputs)
        trainer = Trainer(folder, seed=options.seed, threads=options.threads)
        curves = _Curves()
        trainer.train(
            _arrays(manifest, *examples),
            epochs=options.epochs,
            batch_size=_batch_size(manifest, options.batch_size, len(examples[0])),
            learning_rate=options.learning_rate,
            validation=None if validation is None else _arrays(manifest, *validation),
            callbacks=[curves],
        )
        exported = temporary / "model.onnx"
        trainer.export(exported)
        return Fitted(_content(exported), manifest, curves.losses, curves.validation_losses)


def shaped(X: np.ndarray, tensor: Tensor) -> np.ndarray:  # noqa: N803
    """Rows of features as an input takes them: of its shape, and as integers where it takes these.

    Args:
        X: (n, features), or (n, ...) of the input's own shape.
        tensor: the input.

    Raises:
        UserError: the features do not fit the input's shape or type.
    """
    sizes = [size if isinstance(size, int) else -1 for size in tensor.shape[1:]]
    if X.ndim != len(tensor.shape):
        try:
            X = X.reshape(len(X), *sizes)  # noqa: N806
        except ValueError as error:
            raise UserError(
                f"X has rows of shape {X.shape[1:]}, and the model's input '{tensor.name}' takes "
                f"{tuple(tensor.shape[1:])}: give rows of that shape, or of as many features."
            ) from error
    wanted = [size for size, has in zip(sizes, X.shape[1:]) if size not in (-1, has)]
    if wanted:
        raise UserError(
            f"X has {counted(int(np.prod(X.shape[1:])), 'feature')} a row, and the model's input "
            f"'{tensor.name}' takes {tuple(tensor.shape[1:])}: give a factory of models, or another model."
        )
    result = X.astype(tensor.dtype)
    if np.issubdtype(result.dtype, np.integer) and (result != X).any():
        raise UserError(
            f"X has fractions, and the model's input '{tensor.name}' takes {tensor.dtype}: give whole numbers."
        )
    return result


def _arrays(manifest: Manifest, X: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:  # noqa: N803
    (tensor,), label = manifest.inputs, manifest.label
    assert label is not None
    sizes = [size for size in label.shape[1:] if isinstance(size, int)]
    if np.prod(sizes, initial=1) != np.prod(y.shape[1:], initial=1):
        raise UserError(
            f"y has {counted(int(np.prod(y.shape[1:])), 'number')} for an example, and the model's output "
            f"'{manifest.prediction}' has the shape {tuple(label.shape)}: give a model of as many outputs."
        )
    shape = (len(y), *sizes) if len(sizes) == len(label.shape) - 1 else y.shape
    return {tensor.name: shaped(X, tensor), label.name: y.reshape(shape)}


def _check_model(manifest: Manifest) -> None:
    """Refuses what takes something else than rows of features."""
    if len(manifest.inputs) != 1:
        names = listed(f"'{each.name}'" for each in manifest.inputs)
        raise UserError(
            f"The model takes {names}, and an estimator gives one array X: train it with svgd_onnx.Trainer."
        )
    (prediction,) = [each for each in manifest.outputs if each.name == manifest.prediction]
    for each in (*manifest.arrays, prediction):
        if each.batch_axis != 0:
            raise UserError(
                f"The examples of '{each.name}' do not lie along its first axis, as those of X do: train the "
                "model with svgd_onnx.Trainer."
            )


def check_classes(outputs: Dimension, classes: int) -> None:
    """Refuses a model that tells more classes apart, or fewer, than there are; an open size is any.

    Raises:
        UserError: says how many of each.
    """
    if isinstance(outputs, int) and outputs != classes:
        raise UserError(
            f"The model has {counted(outputs, 'output')}, and y has {classes} classes: "
            f"convert_options={{'num_classes': {classes}}} makes its last layer anew; or give a model of as "
            "many outputs, or a factory of models."
        )


def _batch_size(manifest: Manifest, wanted: int, examples: int) -> int:
    """As it was given, or all examples where there are fewer; that of the model where it is fixed."""
    return manifest.batch_size or min(wanted, examples)


def _content(path: Path) -> bytes:
    if path.with_name(f"{path.name}.data").exists():
        raise UserError(
            "The model has more than 1.9 GB of weights, too many to keep within an estimator: train it with "
            "svgd_onnx.Trainer."
        )
    return path.read_bytes()


class _Curves(Callback):
    """The mean loss of each epoch, and the loss of the validation data after it."""

    def __init__(self) -> None:
        self._of_steps: dict[int, list[float]] = defaultdict(list)
        self.validation_losses: list[float] = []

    @property
    def losses(self) -> list[float]:
        """The mean of each epoch's steps."""
        return [float(np.mean(each)) for each in self._of_steps.values()]

    def on_step(self, record: Record) -> None:
        self._of_steps[record.epoch].append(record.loss)
        if record.metrics:
            self.validation_losses.append(record.metrics["loss"])


def is_factory(model: Any) -> bool:
    """Whether it makes models."""
    return callable(model) and not isinstance(model, onnx.ModelProto)


def made(model: Any, n_features: int, n_outputs: int) -> PathLike | onnx.ModelProto:
    """The model that was given, or that a factory makes."""
    return cast(Factory, model)(n_features, n_outputs) if is_factory(model) else model
