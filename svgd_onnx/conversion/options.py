"""What `convert` and `check` can be told, in dataclasses that check themselves; T's are in transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from svgd_onnx.argument_types import whole_number
from svgd_onnx.errors import (
    UserError,
    check_choice,
    check_range,
    fits_float32,
    of_output,
    option,
)
from svgd_onnx.files import PathLike
from svgd_onnx.loss_settings import LossSettings, OutputLoss
from svgd_onnx.transforms.differentiate.differentiators import AUTO, DIFFERENTIATOR_NAMES
from svgd_onnx.transforms.finetune.initial_values import HE, INITIALIZATIONS
from svgd_onnx.transforms.losses import check_settings, loss_named
from svgd_onnx.transforms.optimizers import SVGD, update_rule
from svgd_onnx.transforms.quantization import FROZEN, QUANTIZED_CHOICES

EVERY = "*"
"""The glob of all parameters."""

# The largest size of an axis that is asked for, of which arrays can still be tried.
_MOST = 2**31 - 1
_SIZE = f"1 or more, up to {_MOST}"


@dataclass(frozen=True)
class TrainingSettings:
    """What is trained, and towards what.

    Attributes:
        loss: a key of `LOSSES`: "cross-entropy", "focal" or "hinge" (logits (N, C, ...), labels (N, ...)
            int64), "triplet" (embeddings (N, D), labels (N) int64), "mse", "bce-with-logits", "l1", "huber" or
            "kl" (prediction and target of one shape, float32); or "none" if the prediction is itself the loss,
            one float32 number. Or an ONNX file, which makes the loss of the prediction and a target. Or, for
            several outputs, the loss of each by the output's name, an `OutputLoss` (or one of the above, if
            that is all): their weighted sum is trained by, and all that follows about losses is said there.
        loss_settings: of the loss: reduction, class axis, class weights, labels to ignore, label smoothing, ...
        prediction: the model's output that the loss compares; needed if it has several.
        batch_axis: the axis that examples lie along, by input or output; None for what is given whole at
            every step. What is not named here is told from the names of axes.
        size: sizes of open axes, which become fixed, by the axis's name or a glob.
        fixed_batch: whether a batch axis of fixed size stays so; else it is opened, where it is proven
            that no value mixes examples.
        train: globs; if given, only parameters that match one are trained.
        freeze: globs; parameters that match one are not trained.
        freeze_bn: whether BatchNormalization keeps its running statistics, and normalizes with them.
        quantized: pairs of quantize and dequantize, and integer weights that are dequantized, either stay as
            they are and stop gradients ("frozen"); or gradients pass where the range does not clip, and the
            weights are trained as real numbers and quantized again ("straight-through").
        differentiator: who makes the gradient graph: "onnxruntime" for the builder of
            onnxruntime-training, "own" for rules of ours, "auto" for the builder where the target is
            ort-training and it is installed and right, and ours otherwise.
        num_classes: of the prediction, whose last layer is made anew for so many; None leaves it.
        init_head: what its weight begins with: "he", normal numbers of deviation sqrt(2 / inputs), or "zeros".
        reset: globs; parameters that match one begin anew: weights as by "he", biases and shifts with 0,
            scales with 1, running means and variances with 0 and 1.
        init_seed: of the random numbers that parameters begin with.
        lora: the rank of low-rank adapters beside linear layers, which are trained in the place of all else
            but a new head and what `train` names; None for none.
        lora_targets: globs; if given, adapters stand beside weights whose name matches one, or that of a
            node that takes it, or of the PyTorch module that this was. None: the weights of all Gemm, MatMul
            and Conv but the head's.
        lora_alpha: adapters are scaled by alpha / rank; None for the rank.
    """

    loss: str | PathLike | Mapping[str, OutputLoss | str | PathLike] = "cross-entropy"
    loss_settings: LossSettings = field(default_factory=LossSettings)
    prediction: str | None = None
    batch_axis: Mapping[str, int | None] = field(default_factory=dict)
    size: Mapping[str, int] = field(default_factory=dict)
    fixed_batch: bool = False
    train: Sequence[str] = ()
    freeze: Sequence[str] = ()
    freeze_bn: bool = False
    quantized: str = FROZEN
    differentiator: str = AUTO
    num_classes: int | None = None
    init_head: str = HE
    reset: Sequence[str] = ()
    init_seed: int = 0
    lora: int | None = None
    lora_targets: Sequence[str] = ()
    lora_alpha: float | None = None

    def check(self) -> None:
        """Refuses a loss that there is not, and settings that it does not have.

        Raises:
            UserError: names the setting.
        """
        for output, each in self.losses.items():
            with of_output(output if self.of_several else None):
                check_settings(loss_named(str(each.loss)), each.settings)
                if not (fits_float32(each.weight) and each.weight > 0):
                    raise UserError(
                        f"{option('loss')} has the weight {each.weight}, but it must be above 0, as float32."
                    )
        if self.of_several:
            self._check_several()
        check_choice("quantized", self.quantized, QUANTIZED_CHOICES)
        for axis, size in self.size.items():
            whole_number("size", size)
            check_range("size", size, size >= 1, f"1 or more for '{axis}'")
        check_choice("differentiator", self.differentiator, DIFFERENTIATOR_NAMES)
        if self.num_classes is not None:
            whole_number("num_classes", self.num_classes)
            check_range("num_classes", self.num_classes, 1 <= self.num_classes <= _MOST, _SIZE)
        check_choice("init_head", self.init_head, INITIALIZATIONS)
        if self.lora is not None:
            whole_number("lora", self.lora)
            is_rank = 1 <= self.lora <= _MOST
            check_range("lora", self.lora, is_rank, f"a rank, {_SIZE}")
        for name in ("lora_targets", "lora_alpha"):
            if getattr(self, name) and self.lora is None:
                raise UserError(
                    f"{option(name)} is of adapters: give {option('lora')} too, their rank."
                )
        if self.lora_alpha is not None:
            check_range("lora_alpha", self.lora_alpha, self.lora_alpha > 0, "positive")
        whole_number("init_seed", self.init_seed)
        check_range("init_seed", self.init_seed, self.init_seed >= 0, "0 or more")

    @property
    def of_several(self) -> bool:
        """Whether losses are given by the names of outputs."""
        return isinstance(self.loss, Mapping)

    @property
    def losses(self) -> dict[str | None, OutputLoss]:
        """What is compared how, by output; None is the only one, where the loss is given alone."""
        if not isinstance(self.loss, Mapping):
            return {self.prediction: OutputLoss(self.loss, settings=self.loss_settings)}
        return {
            output: each if isinstance(each, OutputLoss) else OutputLoss(each)
            for output, each in self.loss.items()
        }

    def _check_several(self) -> None:
        if not self.losses:
            raise UserError(f"{option('loss')} is empty: name an output, and the loss of it.")
        for name, idle in (
            ("prediction", self.prediction is not None),
            ("loss_settings", self.loss_settings != LossSettings()),
        ):
            if idle:
                raise UserError(
                    f"{option('loss')} names outputs, and says all of their losses: leave out {option(name)}."
                )


@dataclass(frozen=True)
class UpdateSettings:
    """How parameters follow from gradients.

    Attributes:
        optimizer: "svgd", or without T a key of `OPTIMIZERS`: "sgd", "momentum", ...
        momentum: of "momentum" (default 0.9), or of the update on top of "svgd" (default 0).
        weight_decay: decoupled weight decay of all that is trained; or by globs of parameters, of which
            the last that matches counts, and 0 where none does.
        rate: factors on the learning rate by globs of parameters, of which the last that matches counts, and
            1 where none does.
        clip_norm: the largest norm of all gradients together, T in them and L1's part; None for any.
        clip_value: the largest size of an entry of a gradient; None for any.
        ema: decay of an exponential moving average of the parameters, which is what is evaluated and exported;
            None without.
        l1: lambda of L1 regularization, on weights and biases; 0 is none.
        proximal: mu of a term mu / 2 * (w - w0)^2 of the loss, of all that is trained: w0 is the parameter
            before the first step, or what a federated server sent last (FedProx); 0 is none.
    """

    optimizer: str = SVGD
    momentum: float | None = None
    weight_decay: float | Mapping[str, float] = 0.0
    rate: Mapping[str, float] = field(default_factory=dict)
    clip_norm: float | None = None
    clip_value: float | None = None
    ema: float | None = None
    l1: float = 0.0
    proximal: float = 0.0

    def check(self) -> None:
        """Refuses values out of range, and settings that the optimizer does not have.

        Raises:
            UserError: names the setting.
        """
        self._update_rule()
        decay = self.weight_decay
        for each in decay.values() if isinstance(decay, Mapping) else [decay]:
            check_range("weight_decay", each, each >= 0, "0 or more")
        for each in self.rate.values():
            check_range("rate", each, each > 0, "more than 0")
        for name, most in (("clip_norm", self.clip_norm), ("clip_value", self.clip_value)):
            if most is not None:
                check_range(name, most, most > 0, "more than 0")
        if self.ema is not None:
            check_range("ema", self.ema, 0 <= self.ema < 1, "at least 0 and below 1")
        check_range("l1", self.l1, self.l1 >= 0, "0 or more")
        check_range("proximal", self.proximal, self.proximal >= 0, "0 or more")

    @property
    def adapts(self) -> bool:
        """Whether T acts."""
        return self.optimizer == SVGD

    @property
    def rule(self) -> str:
        """The update rule, a key of `OPTIMIZERS`: under T that of (momentum) SGD."""
        return self._update_rule()[0]

    @property
    def hyper_parameters(self) -> dict[str, float]:
        """Those of the rule, and of what else was asked for, by name."""
        asked: dict[str, float | None] = {
            "weight_decay": self.decays.get(EVERY) or None,
            "clip_norm": self.clip_norm,
            "clip_value": self.clip_value,
            "ema": self.ema,
            "proximal": self.proximal or None,
        }
        given = {name: float(value) for name, value in asked.items() if value is not None}
        return {**self._update_rule()[1], **given}

    @property
    def decays(self) -> dict[str, float]:
        """Weight decay by globs."""
        decay = self.weight_decay
        return dict(decay) if isinstance(decay, Mapping) else {EVERY: decay}

    @property
    def decays_of_groups(self) -> dict[str, float]:
        """`decays` where groups of parameters have others than the rest; the last that matches counts."""
        return self.decays if self.decays.keys() - {EVERY} else {}

    def _update_rule(self) -> tuple[str, dict[str, float]]:
        given = {}
        if self.momentum is not None:
            given["momentum"] = self.momentum
        return update_rule(self.optimizer, given)
