"""What no conversion writes into `svgd.json`, though every field is of its type."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from svgd_onnx.json_reading import MisfitError
from svgd_onnx.records import OF_THE_PARAMETER, Dimension, LossTerm, Tensor
from svgd_onnx.transforms.losses import is_file, loss_if_known

if TYPE_CHECKING:
    from svgd_onnx.manifest import Manifest

# What arrays may be of.
_DTYPE = re.compile(r"bool|u?int(8|16|32|64)|b?float(16|32|64)|object|complex(64|128)")
# What weights may be stored as, without and with a quantization.
_FLOATS = re.compile(r"float32|b?float16")
_INTEGERS = re.compile(r"u?int(8|16)|int32")


def check(manifest: Manifest) -> None:
    """Refuses what no conversion writes.

    Raises:
        MisfitError: says what.
    """
    for term in manifest.terms:
        _check_term(term, manifest.outputs)
    strange = [each for each in manifest.arrays if not _DTYPE.fullmatch(each.dtype)]
    if strange:
        raise MisfitError(f"the tensor '{strange[0].name}' is of type '{strange[0].dtype}'")
    if manifest.accumulation_steps < 1:
        raise MisfitError(f"'accumulation_steps' is {manifest.accumulation_steps}")
    if manifest.num_classes is not None and manifest.num_classes < 1:
        raise MisfitError(f"'num_classes' is {manifest.num_classes}")
    if manifest.lora is not None and manifest.lora.rank < 1:
        raise MisfitError(f"'lora.rank' is {manifest.lora.rank}")
    if manifest.data_parallel is not None and manifest.data_parallel.pieces < 1:
        raise MisfitError(f"'data_parallel.pieces' is {manifest.data_parallel.pieces}")
    for tensor in (*manifest.arrays, *manifest.outputs):
        _check_sizes(tensor.name, tensor.shape)
        axis = tensor.batch_axis
        if axis is not None and not 0 <= axis < len(tensor.shape):
            raise MisfitError(f"the tensor '{tensor.name}' has no axis {axis}")
        if axis is not None and tensor.shape[axis] == 0:
            raise MisfitError(f"the tensor '{tensor.name}' has no examples")
    for parameter in manifest.parameters:
        _check_sizes(parameter.name, parameter.shape)
        if not (_FLOATS if parameter.quantization is None else _INTEGERS).fullmatch(
            parameter.stored_as
        ):
            raise MisfitError(f"'{parameter.name}' is stored as '{parameter.stored_as}'")
    for named in (manifest.arrays, manifest.outputs, manifest.parameters):
        names = Counter(each.name for each in named)
        if names.total() > len(names):
            raise MisfitError(f"'{names.most_common(1)[0][0]}' is there twice")
    trained = {each.name for each in manifest.parameters if each.trainable}
    if not trained.issuperset(manifest.gradient_norms):
        raise MisfitError("'gradient_norms' has what is no trainable parameter")
    _check_update(manifest)


def _check_term(term: LossTerm, outputs: Sequence[Tensor]) -> None:
    prediction = next((each for each in outputs if each.name == term.prediction), None)
    if prediction is None:
        raise MisfitError("'prediction' is no output")
    axis = term.settings.class_axis
    if axis is not None and not 0 <= axis < len(term.logits_shape):
        raise MisfitError(f"the logits have no axis {axis}")
    alike = list(prediction.shape) == list(term.logits_shape)
    if axis is not None and alike and axis == prediction.batch_axis:
        raise MisfitError(f"'loss_settings.class_axis' is {axis}, the axis of examples")
    weights = term.settings.class_weights
    if weights is not None and axis is not None:
        size = term.logits_shape[axis]
        if len(weights) != (size if isinstance(size, int) else max(len(weights), 1)):
            raise MisfitError(f"'loss_settings.class_weights' has {len(weights)} weights")
    loss = loss_if_known(term.loss)
    if (
        loss is not None
        and not is_file(term.loss)
        and (loss.target is None) != (term.label is None)
    ):
        has = "labels, which it reads none of" if term.label else "no labels, which it reads"
        raise MisfitError(f"the loss '{term.loss}' has {has}")
    if axis is None and loss is not None and loss.has_classes:
        raise MisfitError("labels are classes, and 'loss_settings.class_axis' has no axis")


def _check_update(manifest: Manifest) -> None:
    trained = {each.name: each.shape for each in manifest.parameters if each.trainable}
    for state in manifest.states:
        _check_sizes(state.name, state.shape)
        if state.parameter is not None and state.parameter not in trained:
            raise MisfitError(f"'{state.name}' is of '{state.parameter}', which is not trained")
        shape = list(trained.get(str(state.parameter), ()))
        if state.state in OF_THE_PARAMETER and state.shape != shape:
            raise MisfitError(f"'{state.name}' has not the shape of '{state.parameter}'")
    for glob, number in (*manifest.rates.items(), *manifest.weight_decays.items()):
        if not (isfinite(number) and number >= 0):
            raise MisfitError(f"the number for '{glob}' is {number}")


def _check_sizes(name: str, shape: Sequence[Dimension]) -> None:
    if any(isinstance(size, int) and size < 0 for size in shape):
        raise MisfitError(f"the tensor '{name}' is of shape {list(shape)}")
