"""What a model says of examples: its outputs by name, batch by batch, of a folder or of any ONNX file."""

from __future__ import annotations

import contextlib
import mmap
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.errors import Advice, UserError, counted, first_line
from svgd_onnx.files import UnchangedFiles, require_there, temporary_folder
from svgd_onnx.manifest import Manifest, Tensor
from svgd_onnx.runtime import inference_runtime
from svgd_onnx.targets.index_at_fault import find, no_step
from svgd_onnx.targets.target import EVAL_MODEL
from svgd_onnx.threads import session_threads
from svgd_onnx.training.examples import Given, Taken, one_pass, without_label
from svgd_onnx.training.length import check_positive
from svgd_onnx.training.start import check_threads
from svgd_onnx.training.streams import StreamExamples

BATCH_SIZE = 256

# What onnxruntime calls the types of tensors.
_TYPES = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    **{
        f"tensor({sign}int{bits})": f"{sign}int{bits}"
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}

Outputs = dict[str, np.ndarray]

# A node's operator in a file: field 4 of NodeProto, its length, and the name.
_RECURRENT = re.compile(
    b"|".join(re.escape(b'"%c%b' % (len(name), name)) for name in (b"GRU", b"LSTM", b"RNN"))
)
# In the names of nodes that `transforms.check_indices` put there, but for the loss's.
_LOOKS_AT_INDICES = re.compile(rb"(?<!svgd\.loss)/index_\d/")


@dataclass(frozen=True)
class Predictor:
    """A model that is open for inference.

    Attributes:
        session: onnxruntime's.
        inputs: of the model.
        outputs: of it, but for those that are of no example; each with the axis that examples lie along.
        classifies: the output that has a number for each class, along its second axis; None if none does, or it
            is not known.
        required: outputs without which nothing is said; of others that have no place for each example, those
            that have one are enough.
        files: that the session has mapped.
        recurrent: whether it has a recurrent layer, over no step of which onnxruntime ends the process.
    """

    session: Any
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    classifies: str | None = None
    required: frozenset[str] = frozenset()
    files: UnchangedFiles = field(default_factory=UnchangedFiles)
    recurrent: bool = False

    @property
    def one_by_one(self) -> bool:
        """Whether the model takes one example, without an axis of examples."""
        return all(tensor.batch_axis is None for tensor in self.inputs)

    @property
    def batch_size(self) -> int | None:
        """How many examples the model takes, where it leaves no choice."""
        sizes = [each.shape[each.batch_axis] for each in self.inputs if each.batch_axis is not None]
        return (
            1 if self.one_by_one else next((size for size in sizes if isinstance(size, int)), None)
        )

    def predict(
        self, given: Given, *, batch_size: int = BATCH_SIZE, workers: int = 1
    ) -> Iterator[Outputs]:
        """The outputs of all examples, a batch at a time, examples along their first axis.

        Args:
            given: as `Trainer.train` takes them; labels need not be there.
            batch_size: how many examples are computed at once, where the model leaves a choice.
            workers: as for `Trainer.train`.

        Raises:
            UserError: the examples do not fit, or onnxruntime cannot run the model on them.

        Warns:
            where scores of classes tell none from the others.
        """
        check_positive(batch_size=batch_size)
        outputs: Sequence[Tensor] | None = None
        told = False
        examples = without_label(given, self.inputs)
        fixed = self.batch_size
        for rows, arrays in one_pass(examples, fixed or batch_size, workers):
            missing = 0 if fixed is None else fixed - len(rows)
            results = self._run(self._filled(arrays, missing), rows, examples)
            if outputs is None:
                outputs = self._of_each_example(results, len(rows) + missing)
            found = {
                each.name: self._of_examples(each, results[each.name], len(rows), missing)
                for each in outputs
            }
            if not told:
                told = self._tell_of_no_class(found, rows)
            yield found

    def _tell_of_no_class(self, found: Outputs, rows: np.ndarray) -> bool:
        """Warns of the first example whose scores of classes have no highest; gives whether there is one."""
        scores = found.get(self.classifies or "")
        if scores is None or scores.ndim < 2 or not np.issubdtype(scores.dtype, np.floating):
            return False
        highest = scores.max(axis=1, keepdims=True)
        tied = np.isinf(highest) & ((scores == highest).sum(axis=1, keepdims=True) > 1)
        none = np.flatnonzero((np.isnan(highest) | tied).reshape(len(scores), -1).any(axis=1))
        if none.size:
            text = (
                f"Output '{self.classifies}' has NaN or infinities for example {rows[none[0]]}, among which no "
                "class is the highest: what is said of such examples says nothing."
            )
            warnings.warn(Advice(text), stacklevel=3)
        return bool(none.size)

    def _filled(self, arrays: Sequence[np.ndarray], missing: int) -> Sequence[np.ndarray]:
        """A batch of as many examples as the model takes: the last one stands for those that are missing."""
        if not missing:
            return arrays
        return [
            array
            if tensor.batch_axis is None
            else np.concatenate(
                [array, *[np.take(array, [-1], tensor.batch_axis)] * missing], tensor.batch_axis
            )
            for array, tensor in zip(arrays, self.inputs)
        ]

    def _run(
        self, arrays: Sequence[np.ndarray], rows: np.ndarray, examples: Taken | StreamExamples
    ) -> Outputs:
        feeds = {tensor.name: array for tensor, array in zip(self.inputs, arrays)}
        names = [tensor.name for tensor in self.outputs]
        empty = [name for name, array in feeds.items() if not array.size]
        if self.recurrent and empty:
            raise no_step(empty[0], examples.source, feeds[empty[0]].shape)
        self.files.check()
        try:
            results = self.session.run(names, feeds)
        except Exception as error:  # the binding has an exception class for each status
            index = find(str(error), self.inputs, arrays)
            if index is not None:
                raise index.error(examples.source, rows) from error
            raise UserError(
                f"onnxruntime cannot run the model on {examples.source} ({first_line(error)}): see whether the "
                "sizes and indices in the data are ones that the model can take."
            ) from error
        return {name: np.asarray(result) for name, result in zip(names, results)}

    def _of_each_example(self, results: Outputs, count: int) -> Sequence[Tensor]:
        """The outputs with a place for each example, which the first batch tells; others are left out.

        Warns:
            where one is.
        """
        if self.one_by_one:
            return self.outputs
        fit = [
            each
            for each in self.outputs
            if _has_places(each, results[each.name], count)
            and (self.batch_size is not None or not _states_other(each, count))
        ]
        if not fit or not self.required <= {each.name for each in fit}:
            return self.outputs  # one of which is refused
        for each in self.outputs:
            if each not in fit:
                text = (
                    f"Output '{each.name}' is left out: it has shape {results[each.name].shape} for "
                    f"{counted(count, 'example')}, and no axis with one place for each."
                )
                warnings.warn(Advice(text), stacklevel=3)
        return fit

    def _of_examples(
        self, tensor: Tensor, result: np.ndarray, count: int, missing: int
    ) -> np.ndarray:
        if self.one_by_one:
            return result[None]
        axis = tensor.batch_axis
        if axis is None or not _has_places(tensor, result, count + missing):
            # more of them are not cut off: which of these belongs to an example, nobody knows
            raise UserError(
                f"Output '{tensor.name}' has shape {result.shape} for {counted(count + missing, 'example')}, "
                "and no axis with one place for each: take it out of the model's outputs, or run the model "
                "by onnxruntime itself."
            )
        return np.moveaxis(result, axis, 0)[:count]


def _states_other(tensor: Tensor, count: int) -> bool:
    """Whether a model says that an axis is as long for any number of examples, and by chance it is as many.

    One that says 1 may well be exported with one example.
    """
    axis = tensor.batch_axis
    return axis is not None and len(tensor.shape) > axis and tensor.shape[axis] == count > 1


def _has_places(tensor: Tensor, result: np.ndarray, count: int) -> bool:
    axis = tensor.batch_axis
    return axis is not None and result.ndim > axis and result.shape[axis] == count


@contextlib.contextmanager
def open_artifacts(
    artifacts: Path,
    manifest: Manifest,
    write: Callable[[Path], None],
    threads: int | None = None,
) -> Iterator[Predictor]:
    """The model of artifacts, with its weights as they are.

    Where there is an onnx package, it looks as evaluation does at indices and divisors that it computes.

    Args:
        artifacts: their folder.
        manifest: of the artifacts.
        write: writes the model to a path.
        threads: within an operator; None for one a core.

    Raises:
        UserError: it cannot be written, or onnxruntime cannot open it.
    """
    one = manifest.takes_one_example
    outputs = [each for each in manifest.outputs if one or each.batch_axis is not None]
    with temporary_folder() as folder:
        write(folder / "model.onnx")
        if _computes_indices(artifacts / EVAL_MODEL):
            with contextlib.suppress(ModuleNotFoundError):
                from svgd_onnx.transforms.checked_prediction import look_at_indices

                look_at_indices(folder / "model.onnx")
        session = open_session(str(folder / "model.onnx"), threads, "the trained model")
        recurrent = _has_recurrent_layers(folder / "model.onnx")
    classes = manifest.loss_settings.class_axis == 1
    predicted = manifest.prediction if classes and not one else None
    # the model as it came may take float16 or float64, where steps take float32
    # and have a batch of fixed size, which steps have not
    came = {each.name: _tensor(each) for each in session.get_inputs()}
    inputs = [_as_it_came(each, came[each.name]) for each in manifest.inputs]
    required = frozenset(term.prediction for term in manifest.terms)
    yield Predictor(session, inputs, outputs, predicted, required, recurrent=recurrent)


def _as_it_came(tensor: Tensor, came: Tensor) -> Tensor:
    sizes = zip(tensor.shape, came.shape)
    shape = [of_model if isinstance(of_model, int) else size for size, of_model in sizes]
    return replace(tensor, dtype=came.dtype or tensor.dtype, shape=shape)


def open_model(path: Path, threads: int | None = None) -> Predictor:
    """The model of an ONNX file, whose examples lie along the first axis of each input and output.

    Raises:
        UserError: there is no such file, onnxruntime cannot open it, or an input is no array of numbers.
    """
    require_there(path)
    session = open_session(str(path), threads, f"'{path}'")
    try:
        inputs = [_tensor(each) for each in session.get_inputs()]
        outputs = [replace(_tensor(each), batch_axis=0) for each in session.get_outputs()]
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' has a name that is no text ({error}).") from error
    strange = [each for each in inputs if not each.dtype]
    if strange:
        raise UserError(f"Input '{strange[0].name}' of '{path}' is no array of numbers.")
    numbers = [each for each in outputs if each.dtype]
    if not numbers:
        raise UserError(
            f"'{path}' has no output of numbers that NumPy knows, and nothing else can be written."
        )
    return Predictor(session, inputs, numbers, recurrent=_has_recurrent_layers(path))


def _has_recurrent_layers(path: Path) -> bool:
    """Whether a model's file says so; numbers in it might too, by chance."""
    return _is_in(path, _RECURRENT)


def _computes_indices(path: Path) -> bool:
    """Whether nodes stand in an evaluation model that look at what it computes, other than labels."""
    return _is_in(path, _LOOKS_AT_INDICES)


def _is_in(path: Path, pattern: re.Pattern[bytes]) -> bool:
    """Whether a file has some text."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return pattern.search(content) is not None


# What onnxruntime says of an opset that it does not know, and of the newest that it does.
_OPSETS = re.compile(r"Opset (\d+) is under development.* till opset (\d+)")
# A Pad of zeros before a pooling becomes its pads, which are no zeros (`PadsOfPools`).
_WRONG = ["Pad_Fusion"]


def open_session(model: str | bytes, threads: int | None, called: str) -> Any:
    """A session on the processor, that predicts.

    Args:
        model: a file, or its content.
        threads: within an operator; None for one a core.
        called: how a message calls the model.

    Raises:
        UserError: onnxruntime cannot open it.
    """
    check_threads(threads)
    onnxruntime = inference_runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = session_threads(threads)
    # else one that is called so would be taken for onnxruntime's own form, in which nobody has looked
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=_WRONG
        )
    except Exception as error:
        newest = _OPSETS.search(str(error))
        if newest:
            raise UserError(
                f"onnxruntime {onnxruntime.__version__} knows opsets up to {newest[2]}, and {called} is of "
                f"opset {newest[1]}: update onnxruntime, or convert one of an older opset."
            ) from error
        raise UserError(f"onnxruntime cannot open {called} ({first_line(error)}).") from error


def _tensor(info: Any) -> Tensor:
    shape = [size if isinstance(size, int) else str(size or "?") for size in info.shape or []]
    return Tensor(info.name, _TYPES.get(info.type, ""), shape, 0 if shape else None)


def joined(batches: Iterator[Outputs]) -> Outputs:
    """The outputs of all batches.

    Raises:
        UserError: they differ in shape.
    """
    held = list(batches)
    return {name: _joined(name, [each[name] for each in held]) for name in held[0]}


def check_alike(name: str, first: np.ndarray, other: np.ndarray) -> None:
    """Refuses outputs of two batches that cannot stand in one array.

    Raises:
        UserError: says how they differ.
    """
    if first.shape[1:] != other.shape[1:]:
        raise UserError(
            f"Output '{name}' is of shape {first.shape[1:]} for some examples, and {other.shape[1:]} for others"
            ": they are no one array, so predict these apart."
        )


def _joined(name: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    for array in arrays:
        check_alike(name, arrays[0], array)
    return np.concatenate(arrays)
