"""`svgd.json`: what a folder of training artifacts contains, and why it is as it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeGuard

from svgd_onnx.errors import UserError
from svgd_onnx.files import PathLike, is_there, recover, require_text
from svgd_onnx.hashes import sha256
from svgd_onnx.json_reading import MisfitError, read
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.manifest_checks import check
from svgd_onnx.records import (
    AVERAGE,
    DataParallel,
    Dimension,
    FixedBatch,
    LossTerm,
    LowRank,
    Operation,
    Parameter,
    Quantization,
    State,
    Tensor,
    Verified,
)

__all__ = [
    "AS_IT_CAME",
    "CANONICAL_FORM",
    "DIGEST",
    "FILE_NAME",
    "FORMAT",
    "LOOKS_AT_LABELS",
    "TELLS_OF_STATES",
    "DataParallel",
    "Dimension",
    "FixedBatch",
    "LossTerm",
    "Manifest",
    "Operation",
    "Parameter",
    "Quantization",
    "State",
    "Tensor",
    "Verified",
    "digest_of",
]

FORMAT = 4
"""What is written. Format 1 had no `files`, no `source` and no `lowest` and `highest` of tensors; it is read as
one that says nothing of these. Up to format 3 there was no SHA-256 of the contents themselves."""
_WITHOUT_FILES = 1
_WITHOUT_DIGEST = 3
DIGEST = "sha256"
"""The key of that."""
LOOKS_AT_LABELS = 2
"""From this format on a step looks itself whether labels are classes."""
TELLS_OF_STATES = 3
"""From this format on all is named that the step keeps for the update of parameters."""
FILE_NAME = "svgd.json"

AS_IT_CAME, CANONICAL_FORM = "as it came", "canonical form"


@dataclass
class Manifest:
    """The contents of `svgd.json`.

    Attributes:
        versions: of svgd-onnx, onnx and onnxruntime at conversion.
        target: for which runtime: "ort-training" or "onnx".
        loss: name of the loss; of several the first, as all that follows to the label.
        loss_settings: what was chosen about it; `class_axis` is that of the logits.
        prediction: the model's output that the loss compares.
        logits: the value that the loss reads, the prediction itself or what is under its activation.
        logits_shape: its shape.
        inputs: the model's inputs, in the order a training step takes them.
        label: the input with what the model should say; the training step takes it last. None if the
            loss is the model's own.
        outputs: the model's own outputs; the evaluation model gives them after the loss.
        optimizer: "svgd", or the update rule that trains without T.
        update: the update rule.
        hyper_parameters: of T (scale, rho, epsilon), the update rule and L1 (l1), by name; and what was asked
            for of weight_decay, clip_norm, clip_value and ema.
        t_kernel: "fused" or "portable".
        random: whether training draws random numbers (Dropout, and all that is written with it).
        parameters: everything the checkpoint holds but r and `states`.
        operations: sigma-prime.
        accumulation_steps: batches of a step, over which gradients are averaged.
        rates: factors on the learning rate, by globs of parameters; the last that matches counts.
        weight_decays: decay of parameters that a glob matches, in place of weight_decay; the last counts.
        states: what the step keeps for the update of parameters, in the checkpoint. That of the training
            session's own optimizers is not among them.
        directs: whether a step of the target ort-training makes directions, along which the session's
            plain descent goes, and leaves no gradients.
        differentiator: who made the gradient graph: "onnxruntime", its builder, or "own", rules of ours.
        encapsulation: how T came into it: "graph" or "operators", by twins.
        recompute: whether segments of the forward pass are computed again in the backward pass.
        exported: what export writes: the model "as it came", or in "canonical form".
        fixed_batch: what became of a batch axis that the file fixes; None if there is none, or it was to stay.
        verified: by what conversion verified the artifacts; None if it did not.
        unverified: why it did not, if there is a reason to give.
        source: SHA-256 of the file that was converted, by its name, and of those beside it that hold weights.
            None if it was a model in memory.
        files: SHA-256 of each model of the folder, by the file's name.
        losses: all losses where there are several, and one that has a weight or is a file of the user's own;
            empty where the fields above say all. `terms` is the same for both.
        num_classes: of a head that was made anew; None if none was.
        lora: the low-rank adapters that are trained; None if there are none.
        class_axis_reason: see `LossTerm`.
        compute: in which numbers a step computes products and convolutions, "float32" or "float16".
        loss_scale: of float16, what the loss's gradient is multiplied by: "dynamic", or a number.
        gradient_norms: the parameters whose gradients' norms a step gives, in this order; empty if none.
        data_parallel: the step in pieces beside the step, to train on several ranks; None if it is not there.
        format: of this file.

    Example:
        >>> manifest = svgd_onnx.Manifest.load(pathlib.Path("artifacts"))
        >>> manifest.optimizer, manifest.hyper_parameters["scale"], [each.name for each in manifest.arrays]
        ('svgd', 0.01, ['image', 'labels'])
    """

    versions: dict[str, str]
    target: str
    loss: str
    loss_settings: LossSettings
    prediction: str
    logits: str
    logits_shape: list[Dimension]
    inputs: list[Tensor]
    label: Tensor | None
    outputs: list[Tensor]
    optimizer: str
    update: str
    hyper_parameters: dict[str, float]
    t_kernel: str
    random: bool
    parameters: list[Parameter]
    operations: list[Operation]
    accumulation_steps: int = 1
    rates: dict[str, float] = field(default_factory=dict)
    weight_decays: dict[str, float] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    directs: bool = False
    differentiator: str = "onnxruntime"
    encapsulation: str = "graph"
    recompute: bool = False
    exported: str = CANONICAL_FORM
    fixed_batch: FixedBatch | None = None
    verified: Verified | None = None
    unverified: str | None = None
    source: dict[str, str] | None = None
    files: dict[str, str] = field(default_factory=dict)
    losses: list[LossTerm] = field(default_factory=list)
    num_classes: int | None = None
    lora: LowRank | None = None
    class_axis_reason: str = ""
    compute: str = "float32"
    loss_scale: str = ""
    gradient_norms: list[str] = field(default_factory=list)
    data_parallel: DataParallel | None = None
    format: int = FORMAT

    @property
    def terms(self) -> list[LossTerm]:
        """The losses whose weighted sum is trained by, one or several."""
        of_one = (self.loss, self.loss_settings, self.prediction, self.logits, self.logits_shape)
        reason = self.class_axis_reason
        return self.losses or [LossTerm(*of_one, self.label, class_axis_reason=reason)]

    @property
    def labels(self) -> list[Tensor]:
        """What the losses compare predictions with."""
        return [term.label for term in self.terms if term.label is not None]

    @property
    def arrays(self) -> list[Tensor]:
        """What a training step takes: the inputs and the labels."""
        return [*self.inputs, *self.labels]

    @property
    def own_names(self) -> set[str]:
        """The names of the model's inputs, outputs and parameters, to which those of a step give way."""
        tensors = {each.name for each in (*self.inputs, *self.outputs)}
        return tensors | {each.name for each in self.parameters}

    @property
    def averages(self) -> dict[str, str]:
        """The names of the parameters' moving averages, by those of the parameters."""
        return {str(each.parameter): each.name for each in self.states if each.state == AVERAGE}

    @property
    def running_statistics(self) -> list[str]:
        """The names of parameters that a step sets by what it sees."""
        return [each.name for each in self.parameters if each.statistic]

    @property
    def r(self) -> list[str]:
        """The names of T's states, in the order of operations; those that several share are there once."""
        return list(dict.fromkeys(each.state for each in self.operations if each.state is not None))

    @property
    def state_bytes(self) -> int:
        """Bytes of r."""
        return sum(item.state_nbytes for item in self.operations)

    @property
    def takes_one_example(self) -> bool:
        """Whether nothing that a step takes has an axis of examples: it takes one, as it is."""
        return all(tensor.batch_axis is None for tensor in self.arrays)

    @property
    def batch_size(self) -> int | None:
        """How many examples a step takes, where the model leaves no choice."""
        if self.takes_one_example:
            return 1
        sizes = [each.shape[each.batch_axis] for each in self.arrays if each.batch_axis is not None]
        return next((size for size in sizes if isinstance(size, int)), None)

    @property
    def maker(self) -> str:
        """Who made the gradients, in words."""
        if self.differentiator == "onnxruntime":
            return "onnxruntime's builder"
        twins = " for twin operators" if self.encapsulation == "operators" else ""
        return f"rules of svgd-onnx's own{twins}"

    @property
    def conversion(self) -> dict[str, str]:
        """What a checkpoint was trained as, in words, by what it is about: another conversion's differs in one.

        It follows from the file and the settings: so to convert again is the same, by another version too.
        """
        about = {
            **self._about_losses,
            "the optimizer": self.optimizer,
            **{f"the optimizer's {name}": value for name, value in self.hyper_parameters.items()},
            **{f"the rate of {glob}": value for glob, value in self.rates.items()},
            **{f"the weight decay of {glob}": value for glob, value in self.weight_decays.items()},
        }
        if self.lora is not None:
            about["the adapters' alpha"] = str(self.lora.alpha)
        if self.source is not None:
            about["the model's SHA-256"] = "+".join(sorted(self.source.values()))
        return {name: str(value) for name, value in about.items()}

    @property
    def _about_losses(self) -> dict[str, object]:
        about: dict[str, object] = {}
        for term in self.terms:
            of = f" of '{term.prediction}'" if self.losses else ""
            about[f"the loss{of}"] = term.loss if term.source is None else term.source
            about |= {
                f"the loss's {name}{of}": each for name, each in asdict(term.settings).items()
            }
            if of:
                about[f"the loss's weight{of}"] = term.weight
        return {**about, "the prediction": ", ".join(term.prediction for term in self.terms)}

    @property
    def needs_library(self) -> bool:
        """Whether the artifacts hold operators of the custom operator library."""
        return self.t_kernel == "fused" and any(item.state for item in self.operations)

    def save(self, folder: Path) -> None:
        """Writes `svgd.json` into a folder.

        Args:
            folder: which is there.
        """
        # numbers that were given may be NumPy's
        content = json.loads(json.dumps(asdict(self), default=lambda number: number.item()))
        text = json.dumps({**content, DIGEST: digest_of(content)}, indent=1)
        (folder / FILE_NAME).write_text(text + "\n")

    def check_file(self, folder: Path, name: str) -> Path:
        """The path of a model of the folder, which is the one that was made with this manifest.

        Args:
            folder: that this manifest is of.
            name: the file's.

        Returns:
            The path.

        Raises:
            UserError: it is missing, or another one.
        """
        path = folder / name
        again = "convert the model again, and put the checkpoint in its place to go on"
        if not is_there(path):
            raise UserError(f"'{folder}' has no {name}: {again}.")
        if name not in self.files and self.format > _WITHOUT_FILES:
            raise UserError(
                f"'{folder / FILE_NAME}' has no SHA-256 of {name}, so that nothing tells whether it is the one "
                f"that was made: {again}."
            )
        if name in self.files and sha256(path) != self.files[name]:
            raise UserError(
                f"'{path}' is not the file that was made with '{folder / FILE_NAME}' (its SHA-256 is another): "
                f"{again}."
            )
        return path

    @classmethod
    def load(cls, folder: PathLike) -> Manifest:
        """Reads `svgd.json` from a folder.

        Args:
            folder: of training artifacts.

        Returns:
            What it says.

        Raises:
            UserError: no such folder, no artifacts in it, or a manifest that is another program's, damaged,
                edited or of a newer format.
        """
        folder = Path(folder)
        require_text(folder)
        recover(folder)
        path = folder / FILE_NAME
        if not is_there(path):
            raise UserError(
                f"'{folder}' holds no training artifacts (there is no {FILE_NAME} in it): make them "
                "with svgd-onnx convert."
            )
        try:
            content = json.loads(path.read_text())
            if not is_manifest(content):
                raise UserError(
                    f"'{path}' is none of svgd-onnx's, which writes one into each folder of training "
                    "artifacts: give a folder that svgd-onnx convert made."
                )
            _check_format(content.get("format"), path)
            digest = content.pop(DIGEST, None)
            manifest = read(cls, content)
            check(manifest)
            if digest != digest_of(content) and manifest.format > _WITHOUT_DIGEST:
                raise MisfitError("its contents are not those that it has the SHA-256 of")
        except (ValueError, RecursionError) as error:
            raise _damaged(path, "it is no JSON") from error
        except MisfitError as error:
            raise _damaged(path, str(error)) from error
        return manifest


def is_manifest(content: object) -> TypeGuard[dict[str, object]]:
    """Whether JSON is a manifest at first sight, and no other program's."""
    return isinstance(content, dict) and {"format", "versions", "target"} <= content.keys()


def _check_format(given: object, path: Path) -> None:
    if not isinstance(given, int) or given < 1:
        raise MisfitError(f"'format' is {given}")
    if given > FORMAT:
        raise UserError(
            f"'{path}' has format {given}, and this version of svgd-onnx reads up to {FORMAT}: update it."
        )


def digest_of(content: dict[str, object]) -> str:
    """SHA-256 of what a manifest says, however its JSON is written."""
    plain = json.loads(json.dumps(content), parse_float=_shortest)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _shortest(number: str) -> float:
    """1.0 as 1, which some programs write for it."""
    value = float(number)
    return int(value) if value.is_integer() else value


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"'{path}' is damaged ({why}): convert the model again.")
