"""`svgd.json`: what a folder of training artifacts contains, and why it is as it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from svgd_onnx.errors import UserError
from svgd_onnx.loss_settings import LossSettings

FORMAT = 1
FILE_NAME = "svgd.json"

AS_IT_CAME, CANONICAL_FORM = "as it came", "canonical form"

# A fixed size, or the name of a size that each run may choose.
Dimension = int | str


@dataclass
class Tensor:
    """An input or output of the model.

    Attributes:
        name: its name.
        dtype: NumPy's name of its element type.
        shape: its axes; a string names an axis of any size, "?" is one without a name.
        batch_axis: the axis that examples lie along; None where it has none, and is given whole.
    """

    name: str
    dtype: str
    shape: list[Dimension]
    batch_axis: int | None = 0


@dataclass
class Quantization:
    """How the exported model has a parameter in integers: scale * (integers - zero_point).

    Attributes:
        scale: one number, or one for each place of the axis.
        zero_point: as many integers.
        axis: that axis; None for one number.
        scale_name: the scale's, if it is this parameter's own: the model without weights lacks it then.
        scale_shape: its shape.
        follows: the weight as whose scale this one changes, as that of its bias.
    """

    scale: list[float]
    zero_point: list[int]
    axis: int | None
    scale_name: str | None = None
    scale_shape: list[int] = field(default_factory=list)
    follows: str | None = None


@dataclass
class FixedBatch:
    """What became of a batch axis of fixed size.

    Attributes:
        size: in the model's file.
        kept: why it stays fixed; None where it is open now.
    """

    size: int
    kept: str | None = None


@dataclass
class Parameter:
    """A tensor of the model that lives in the checkpoint.

    Attributes:
        name: its name.
        shape: its shape; float32.
        trainable: whether it gets a gradient. Frozen weights and running statistics do not.
        l1: whether L1 regularization acts on it.
        separated_from: the name under which the model's file has it, where the exporter stored equal
            vectors of several layers once; None where it has a place of its own.
        stored_as: the type that the exported model has it in, a floating-point one or one of integers.
        quantization: how, if it is one of integers.
        statistic: whether it is a running statistic.
    """

    name: str
    shape: list[int]
    trainable: bool
    l1: bool = False
    separated_from: str | None = None
    stored_as: str = "float32"
    quantization: Quantization | None = None
    statistic: bool = False

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return 4 * prod(self.shape)


@dataclass
class Operation:
    """An element of sigma-prime: an operation that takes a trainable parameter directly.

    Attributes:
        node: its name.
        op_type: its operator.
        parameter: the parameter.
        role: what that is to it: weight, bias, scale, shift or parameter.
        output: the hidden value of sigma-prime.
        reason: why T acts here, or why it is the identity.
        state: name of r in the checkpoint, or None where T is the identity.
        state_shape: r's shape, float32.
        granularity: "element" if r has the shape of the output without its batch axis, "channel" if it
            has an entry for each channel.
        open_axes: the names of axes for which r is not of each element, as it would be by default: their
            size is open.
    """

    node: str
    op_type: str
    parameter: str
    role: str
    output: str
    reason: str
    state: str | None = None
    state_shape: list[int] = field(default_factory=list)
    granularity: str = "element"
    open_axes: list[str] = field(default_factory=list)

    @property
    def state_nbytes(self) -> int:
        """r's size in bytes; 0 without r."""
        return 0 if self.state is None else 4 * prod(self.state_shape)


@dataclass
class Verified:
    """That conversion verified what it made, and by what.

    Attributes:
        package: the onnxruntime that ran it, by the name of its package.
        version: its version.
        unresolved: parameters whose gradient is too small, or whose loss too rough, for float32 to tell.
    """

    package: str
    version: str
    unresolved: list[str] = field(default_factory=list)


@dataclass
class Manifest:
    """The contents of `svgd.json`.

    Attributes:
        versions: of svgd-onnx, onnx and onnxruntime at conversion.
        target: for which runtime: "ort-training" or "onnx".
        loss: name of the loss.
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
        hyper_parameters: of T (scale, rho, epsilon), the update rule and L1 (l1), by name.
        t_kernel: "fused" or "portable".
        random: whether training draws random numbers (Dropout).
        parameters: everything the checkpoint holds but r.
        operations: sigma-prime.
        accumulation_steps: batches of a step, over which gradients are averaged.
        differentiator: who made the gradient graph: "onnxruntime", its builder, or "own", rules of ours.
        encapsulation: how T came into it: "graph" or "operators", by twins.
        recompute: whether segments of the forward pass are computed again in the backward pass.
        exported: what export writes: the model "as it came", or in "canonical form".
        fixed_batch: what became of a batch axis that the file fixes; None if it has none, or it was to
            stay as it is.
        verified: by what conversion verified the artifacts; None if it did not.
        unverified: why it did not, if there is a reason to give.
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
    differentiator: str = "onnxruntime"
    encapsulation: str = "graph"
    recompute: bool = False
    exported: str = CANONICAL_FORM
    fixed_batch: FixedBatch | None = None
    verified: Verified | None = None
    unverified: str | None = None
    format: int = FORMAT

    @property
    def arrays(self) -> list[Tensor]:
        """What a training step takes: the inputs and the label."""
        return self.inputs if self.label is None else [*self.inputs, self.label]

    @property
    def own_names(self) -> set[str]:
        """The names of the model's inputs, outputs and parameters, to which those of a step give way."""
        tensors = {each.name for each in (*self.inputs, *self.outputs)}
        return tensors | {each.name for each in self.parameters}

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
    def needs_library(self) -> bool:
        """Whether the artifacts hold operators of the custom operator library."""
        return self.t_kernel == "fused" and any(item.state for item in self.operations)

    def save(self, folder: Path) -> None:
        """Writes `svgd.json` into a folder."""
        (folder / FILE_NAME).write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Reads `svgd.json` from a folder.

        Raises:
            UserError: no such folder, no artifacts in it, or a manifest of another format.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise UserError(
                f"'{folder}' holds no training artifacts (there is no {FILE_NAME} in it): make them "
                "with svgd-onnx convert."
            )
        try:
            content: dict[str, Any] = json.loads(path.read_text())
            if content.get("format") != FORMAT:
                raise UserError(
                    f"'{path}' has format {content.get('format')}, this version reads {FORMAT}: "
                    "convert the model again."
                )
            content["inputs"] = [Tensor(**item) for item in content["inputs"]]
            content["label"] = None if (label := content["label"]) is None else Tensor(**label)
            content["loss_settings"] = _loss_settings(content["loss_settings"])
            content["outputs"] = [Tensor(**item) for item in content["outputs"]]
            content["parameters"] = [_parameter(item) for item in content["parameters"]]
            if (batch := content.get("fixed_batch")) is not None:
                content["fixed_batch"] = FixedBatch(**batch)
            content["operations"] = [Operation(**item) for item in content["operations"]]
            if (made := content.get("verified")) is not None:
                content["verified"] = Verified(**made)
            return cls(**content)
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
            raise UserError(f"'{path}' is damaged: convert the model again.") from None


def _parameter(content: dict[str, Any]) -> Parameter:
    given = content.pop("quantization", None)
    return Parameter(quantization=None if given is None else Quantization(**given), **content)


def _loss_settings(content: dict[str, Any]) -> LossSettings:
    weights = content.pop("class_weights")
    return LossSettings(class_weights=None if weights is None else tuple(weights), **content)
