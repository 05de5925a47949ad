"""A drop-in for onnxruntime's `generate_artifacts`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from svgd_onnx.conversion.convert import convert
from svgd_onnx.conversion.model import model_at_fault
from svgd_onnx.conversion.ort_artifacts import arguments
from svgd_onnx.conversion.ort_artifacts.outputs import (
    evaluation_outputs,
    training_outputs,
    with_outputs,
)
from svgd_onnx.errors import UserError, listed
from svgd_onnx.files import PathLike, temporary_folder, whole_file
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.ort_training.file_names import (
    CHECKPOINT,
    CHECKPOINT_FILES,
    OPTIMIZER_MODEL,
    TRAINING_MODEL,
)
from svgd_onnx.targets.target import EVAL_MODEL

_TARGET = "ort-training"
# Decided by arguments of another name.
_TAKEN = ("target", "output", "force", "train", "freeze", "prediction")
# What onnxruntime's function gives AdamW: its epsilon is added to the root of v before v is corrected.
_ADAMW_OF_ONNXRUNTIME = {"adam_mode": 1, "epsilon": 1e-6}


def generate_artifacts(
    model: PathLike | onnx.ModelProto,
    requires_grad: Sequence[str] | None = None,
    frozen_params: Sequence[str] | None = None,
    loss: Any = None,
    optimizer: Any = None,
    artifact_directory: str | bytes | os.PathLike[str] | None = None,
    prefix: str = "",
    ort_format: bool = False,
    custom_op_library: Any = None,
    additional_output_names: Sequence[str] | None = None,
    nominal_checkpoint: bool = False,
    loss_input_names: Sequence[str] | None = None,
    **settings: Any,
) -> None:
    """Writes training artifacts as `onnxruntime.training.artifacts.generate_artifacts` does (1.19).

    `training_model.onnx`, `eval_model.onnx`, `optimizer_model.onnx` and `checkpoint` are loaded and trained
    by code that was written for that function's. They replace files of these names. It needs no PyTorch, and
    differs in that SVGD can be the optimizer, that without `requires_grad` all that is learned is trained,
    that the loss reads the logits under a Softmax or Sigmoid at the model's end, and that BatchNormalization
    and Dropout train as `svgd_onnx.convert` has them. What was made is verified, as there.

    Args:
        model: an ONNX file, or the model itself.
        requires_grad: the parameters to train; None for all but `frozen_params`.
        frozen_params: parameters that stay as they are.
        loss: a LossType of onnxruntime's, or a name that `svgd_onnx.convert` takes; None if the model's first
            output is the loss.
        optimizer: an OptimType of onnxruntime's, `svgd_onnx.SVGD(...)`, "svgd", "adamw" or "sgd"; None writes
            no optimizer model.
        artifact_directory: a folder that is there; None for the current one.
        prefix: what the names of files begin with.
        ort_format: refused if true.
        custom_op_library: refused if given.
        additional_output_names: values of the model that both models give after the loss.
        nominal_checkpoint: refused if true.
        loss_input_names: the one value that the loss compares with the label; needed of a model of several
            outputs.
        **settings: further options of `svgd_onnx.convert`.

    Raises:
        UserError: an argument has no counterpart here, or does not fit the model. Nothing is written then.

    Example:
        >>> optimizer = svgd_onnx.SVGD(scale=0.001)
        >>> svgd_onnx.generate_artifacts("model.onnx", loss="cross-entropy", optimizer=optimizer, prefix="my_")
        >>> sorted(path.name for path in pathlib.Path().glob("my_*"))
        ['my_checkpoint', 'my_eval_model.onnx', 'my_optimizer_model.onnx', 'my_training_model.onnx']
    """
    arguments.refuse(
        {
            "ort_format": ort_format,
            "custom_op_library": custom_op_library,
            "nominal_checkpoint": nominal_checkpoint,
        }
    )
    taken = [name for name in _TAKEN if name in settings]
    if taken:
        raise TypeError(f"generate_artifacts() got an unexpected keyword argument '{taken[0]}'")
    folder = Path(os.fsdecode(artifact_directory or Path.cwd()))
    if not folder.is_dir():
        raise UserError(
            f"There is no folder '{folder}': make it, or choose another artifact_directory."
        )
    options: dict[str, Any] = {
        "loss": arguments.loss_named(loss),
        **arguments.optimizer_options(optimizer),
        **arguments.parameter_options(requires_grad, frozen_params),
        **settings,
    }
    arguments.refuse_settings(options, options["optimizer"])
    outputs = list(additional_output_names or ())
    with temporary_folder() as temporary:
        made = temporary / "artifacts"
        source, prediction = _source(model, loss, loss_input_names, outputs)
        if source is not model:  # read from a file, which may have its large tensors beside it
            options.setdefault("external_data", _folder_of(model))
        manifest = convert(source, made, target=_TARGET, prediction=prediction, **options)
        _check_frozen(manifest, frozen_params or ())
        _set_outputs(made, outputs)
        if options["optimizer"] == arguments.ADAMW:
            _set_adamw(made)
        names = [TRAINING_MODEL, EVAL_MODEL, CHECKPOINT]
        for name in names if optimizer is None else [*names, OPTIMIZER_MODEL]:
            _copy(made, name, folder / f"{prefix}{name}")


def _source(
    model: PathLike | onnx.ModelProto,
    loss: Any,
    loss_input_names: Sequence[str] | None,
    outputs: Sequence[str],
) -> tuple[PathLike | onnx.ModelProto, str | None]:
    """The model, with all that is asked for as outputs, and what the loss compares."""
    compared = list(loss_input_names or ())
    if len(compared) > 1:
        raise UserError(
            f"loss_input_names has {listed(map(repr, compared))}, and a loss compares one value with the "
            "label: give that one."
        )
    if not compared and not outputs and loss is not None:
        return model, None
    with model_at_fault(model):
        proto = (
            model
            if isinstance(model, onnx.ModelProto)
            else onnx.load(os.fspath(model), load_external_data=False)
        )
    own = [value.name for value in proto.graph.output]
    prediction = next(iter(compared), own[0] if loss is None or len(own) == 1 else None)
    wanted = [*([] if prediction is None else [prediction]), *outputs]
    if set(wanted) <= set(own):
        return model, prediction
    return with_outputs(proto, wanted), prediction


def _folder_of(model: PathLike | onnx.ModelProto) -> Path | None:
    return None if isinstance(model, onnx.ModelProto) else Path(model).parent


def _check_frozen(manifest: Manifest, frozen: Sequence[str]) -> None:
    there = {each.name for each in manifest.parameters}
    missing = [name for name in frozen if name not in there]
    if missing:
        raise UserError(
            f"frozen_params has {listed(map(repr, missing))}, which is no parameter of the model: it stays as "
            "it is; leave it out."
        )


def _set_outputs(folder: Path, names: Sequence[str]) -> None:
    """Of both models the loss, and these."""
    training, evaluation = (onnx.load(folder / name) for name in (TRAINING_MODEL, EVAL_MODEL))
    evaluation_outputs(evaluation, names)
    training_outputs(training, evaluation, names)
    onnx.save(training, folder / TRAINING_MODEL)
    onnx.save(evaluation, folder / EVAL_MODEL)


def _set_adamw(folder: Path) -> None:
    """AdamW as onnxruntime's function makes it."""
    model = onnx.load(folder / OPTIMIZER_MODEL)
    (node,) = model.graph.node
    others = [each for each in node.attribute if each.name not in _ADAMW_OF_ONNXRUNTIME]
    ours = [onnx.helper.make_attribute(*each) for each in _ADAMW_OF_ONNXRUNTIME.items()]
    del node.attribute[:]
    node.attribute.extend([*others, *ours])
    onnx.save(model, folder / OPTIMIZER_MODEL)


def _copy(folder: Path, name: str, path: Path) -> None:
    """Puts a file in its place, all at once, and its second one if it has one."""
    with whole_file(path) as temporary:
        shutil.copyfile(folder / name, temporary)
        data = folder / CHECKPOINT_FILES[1]
        if name == CHECKPOINT and data.is_file():
            shutil.copyfile(data, temporary.with_name(f"{temporary.name}.data"))
