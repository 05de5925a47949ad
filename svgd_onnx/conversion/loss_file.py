"""A loss of the user's own: an ONNX file that makes one number of a prediction and a target."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx_ir as ir

from svgd_onnx.conversion.model import load_model, model_at_fault
from svgd_onnx.errors import UserError, listed
from svgd_onnx.hashes import sha256
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.step_names import beside
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.canonicalize import canonicalize, source_form
from svgd_onnx.transforms.canonicalize.opset import NEWEST_OPSET
from svgd_onnx.transforms.canonicalize.stated_shapes import shown
from svgd_onnx.transforms.losses.loss_of_file import LossOfFile
from svgd_onnx.transforms.writer import Writer

Dims = Sequence["int | ir.SymbolicDim"]

_PREDICTION, _TARGETS = "prediction", ("target", "labels")
# Of a made-up target, where the file names an axis that the prediction has not.
_OTHER_AXIS = 8


class LossGraph(LossOfFile):
    """The loss that a file computes, to be written into the graphs of a model.

    Its two inputs are the prediction and the target: by their names, if these are `prediction` and `target` or
    `labels`, else in that order. Data have the type and shape of its target; an axis of it that has the name of
    one of the prediction's is of that size. All initializers are constants.

    Args:
        path: the file.

    Raises:
        UserError: it is no ONNX model, or none of two inputs and one output.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.name)
        self._path = path
        self._source = source_form(load_model(path))
        self.source = sha256(path)
        inputs = list(self._source.graph.inputs)
        if len(inputs) != 2 or len(self._source.graph.outputs) != 1:
            given = listed(f"'{value.name}'" for value in self._source.graph.outputs)
            taken = listed(f"'{value.name}'" for value in inputs) or "nothing"
            raise UserError(
                f"The loss '{path}' takes {taken} and gives {given}: export it with two inputs, the "
                "prediction and the target, and one output, the loss."
            )
        names = [value.name for value in inputs]
        self._places = (1, 0) if names[1] == _PREDICTION or names[0] in _TARGETS else (0, 1)
        with self._at_fault():
            canonical = canonicalize(self._source.clone()).graph
        prediction, target = (canonical.inputs[place] for place in self._places)
        self._check_types(prediction, target)
        assert target.dtype is not None and target.shape is not None
        self.target_dtype = str(target.dtype.numpy())
        self.target = "labels" if target.dtype.is_integer() else "target"
        self._prediction = None if prediction.shape is None else list(prediction.shape)
        self._target = list(target.shape)
        self._bound: list[int | None] = [None] * len(self._target)

    @property
    def opset(self) -> int:
        """What a model has to have at least that takes this loss in."""
        return min(self._source.graph.opset_imports.get("", 0), NEWEST_OPSET)

    def target_shape(self, prediction: Dims) -> list[int | ir.SymbolicDim]:  # type: ignore[override]
        own = prediction if self._prediction is None else self._prediction
        self._check_fits(own, prediction)
        self._bound = [self._axis_of(axis, own) for axis in range(len(self._target))]
        taken = {dim.value for dim in prediction if not isinstance(dim, int)}
        return [
            _beside(dim, taken) if axis is None else prediction[axis]
            for dim, axis in zip(self._target, self._bound)
        ]

    def target_axis(self, prediction: int | None, class_axis: int | None) -> int | None:
        if prediction is None or not self._target:
            return None
        if prediction in self._bound:
            return self._bound.index(prediction)
        return None if isinstance(self._target[0], int) else 0

    @property
    def own_axes(self) -> Sequence[int]:
        places = zip(self._target, self._bound)
        return [
            axis
            for axis, (dim, bound) in enumerate(places)
            if bound is None and not isinstance(dim, int)
        ]

    def random_target(
        self,
        prediction: np.ndarray,
        class_axis: int | None,
        axes: int,
        random: np.random.Generator,
    ) -> np.ndarray:
        shape = [
            prediction.shape[axis]
            if axis is not None
            else (dim if isinstance(dim, int) else _OTHER_AXIS)
            for dim, axis in zip(self._target, self._bound)
        ]
        dtype = np.dtype(self.target_dtype)
        if dtype.kind == "f":
            return random.uniform(size=shape).astype(dtype)
        return random.integers(2, size=shape).astype(dtype)

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        model = self._source.clone()
        given = (prediction, target)
        # shapes are stated by names of axes that the model may have for others
        for output in (output for node in all_nodes(model.graph) for output in node.outputs):
            output.shape = None
        for place, value in zip(self._places, given):
            model.graph.inputs[place].shape = None if value is None else value.shape
        with self._at_fault():
            graph = canonicalize(model, oldest_opset=write.opset).graph
        self._check_result(graph)
        inputs = [given[self._places.index(place)] for place in (0, 1)]
        (loss,) = write.inline(graph, inputs)
        return write.node("Reshape", loss, write.integers())

    @contextmanager
    def _at_fault(self) -> Iterator[None]:
        try:
            with model_at_fault(self._path):
                yield
        except UserError as error:
            raise UserError(f"In the loss '{self.name}': {error.args[0]}") from error

    def _check_types(self, prediction: ir.Value, target: ir.Value) -> None:
        if prediction.dtype != ir.DataType.FLOAT:
            raise UserError(
                f"The loss '{self.name}' takes a prediction of {_type(prediction)}, but predictions are "
                "float32: export it so."
            )
        dtype = target.dtype
        if dtype is None or dtype.is_string() or target.shape is None:
            raise UserError(
                f"The loss '{self.name}' takes a target of {_type(target)}, and targets are numbers of a shape "
                "that is said: export it so."
            )

    def _check_fits(self, own: Dims, prediction: Dims) -> None:
        """Refuses a prediction of other sizes, or of an open one where the file fixes it."""
        fits = len(own) == len(prediction) and all(
            not isinstance(mine, int) or mine == given for mine, given in zip(own, prediction)
        )
        if not fits:
            raise UserError(
                f"The loss '{self.name}' takes a prediction of shape ({shown(own)}), but the model's is of "
                f"shape ({shown(prediction)}): export it for that, with open axes where the model has them."
            )

    def _axis_of(self, axis: int, own: Dims) -> int | None:
        """The prediction's axis that has the size of one of the target's; None if that is its own."""
        dim = self._target[axis]
        if isinstance(dim, int) or dim.value is None:
            alike = axis < len(own) and own[axis] == dim
            return axis if alike else None
        return next((place for place, each in enumerate(own) if each == dim), None)

    def _check_result(self, graph: ir.Graph) -> None:
        (loss,) = graph.outputs
        is_number = loss.shape is not None and all(dim == 1 for dim in loss.shape)
        if loss.dtype != ir.DataType.FLOAT or not is_number:
            raise UserError(
                f"The loss '{self.name}' gives {_type(loss)} of shape "
                f"{'?' if loss.shape is None else f'({shown(loss.shape)})'}, but must give one float32 number: "
                "end it in ReduceMean or ReduceSum over all axes."
            )
        others = {node.domain for node in all_nodes(graph)} - {"", "ai.onnx"}
        if others:
            raise UserError(
                f"The loss '{self.name}' has operators of {listed(sorted(others))}: export it with those of "
                "ONNX."
            )


def _beside(dim: int | ir.SymbolicDim, taken: Collection[str | None]) -> int | ir.SymbolicDim:
    """A size, or an open one whose name is none of those."""
    if isinstance(dim, int) or dim.value is None:
        return dim
    return ir.SymbolicDim(beside(str(dim.value), [each for each in taken if each is not None]))


def _type(value: ir.Value) -> str:
    return "no known type" if value.dtype is None else str(value.dtype).lower()
