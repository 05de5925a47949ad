"""What `svgd.json` says of one thing: a tensor, a parameter, an operation."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from svgd_onnx.loss_settings import LossSettings

AVERAGE = "average"
"""The state of a parameter that is its moving average."""
ANCHOR = "anchor"
"""The state of a parameter that a proximal term pulls it towards; a step reads it, and leaves it as it is."""
ACCUMULATED = "accumulated_gradient"
"""The state of a parameter that is the sum of its gradients since the last change."""
OF_THE_PARAMETER = frozenset({AVERAGE, ANCHOR})
"""States that have the parameter's shape, and before the first step its value; others are zero then."""

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
        lowest: of integers that index what has a fixed size, the least that is in range; None where the
            file does not say it.
        highest: the greatest.
    """

    name: str
    dtype: str
    shape: list[Dimension]
    batch_axis: int | None = 0
    lowest: int | None = None
    highest: int | None = None


@dataclass
class LossTerm:
    """One of the losses that are trained by, and what it compares.

    Attributes:
        loss: its name; of one of the user's own that of its file.
        settings: what was chosen about it; `class_axis` is that of the logits.
        prediction: the model's output that it compares.
        logits: the value that it reads, the prediction itself or what is under its activation.
        logits_shape: its shape.
        label: the input with what the model should say; None if the loss is the model's own.
        weight: what it counts in the sum.
        source: SHA-256 of its file, if it is one of the user's own.
        class_axis_reason: why its axis of classes was taken, as the end of a sentence; empty where nothing else
            could be meant, or it was said.
    """

    loss: str
    settings: LossSettings
    prediction: str
    logits: str
    logits_shape: list[Dimension]
    label: Tensor | None
    weight: float = 1.0
    source: str | None = None
    class_axis_reason: str = ""

    def named(self, what: str) -> str:
        """What belongs to one of several losses: `box_target`, `box_loss`."""
        return f"{self.prediction}_{what}"


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
        stored_as: the type that the exported model has it in: "float32", "float16", "bfloat16", or one of
            integers.
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
class Adapter:
    """A low-rank adapter beside a weight W: W + scaling * A B.

    Attributes:
        weight: W's name.
        down: the parameter A: (inputs, rank), or of a convolution (rank, inputs, kernel...).
        up: the parameter B: (rank, outputs), or (outputs, rank, 1...).
        scaling: alpha / rank.
        kind: how W is stored: as "matrix" (inputs, outputs), "transposed", or as that of a "convolution".
        shape: W's, as it is stored.
        merged: when export adds it to W: "always", "requantized" (where W is quantized anew), or "never".
    """

    weight: str
    down: str
    up: str
    scaling: float
    kind: str
    shape: list[int]
    merged: str = "never"


@dataclass
class LowRank:
    """Low-rank adapters.

    Attributes:
        rank: of each.
        alpha: what the rank divides for their scaling.
        targets: the globs by which weights were chosen; none for the usual ones.
        adapters: each of them.
        whole: other parameters that differ from those of the model as it came: trained, or begun anew.
    """

    rank: int
    alpha: float
    targets: list[str]
    adapters: list[Adapter]
    whole: list[str] = field(default_factory=list)


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
class State:
    """A tensor in the checkpoint that the update of parameters keeps, float32.

    Attributes:
        name: its name.
        shape: its shape.
        state: what it is: one of the optimizer's, "average", "accumulated_gradient", "steps"; of the scale
            of a loss "loss_scale", "good_steps" and "left_out"; or what the step of a training session is
            told before each batch, "update" and "learning_rate".
        parameter: the parameter that it is of; None for a state of all.
    """

    name: str
    shape: list[int]
    state: str
    parameter: str | None = None

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return 4 * prod(self.shape)


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
class DataParallel:
    """A step in pieces, between which tensors are summed over ranks.

    Attributes:
        pieces: how many there are.
        r: "exact" or "local", as `DataParallelSettings` says it.
        batch_norm: "local" or "synchronized".
    """

    pieces: int
    r: str
    batch_norm: str
