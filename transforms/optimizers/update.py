"""How each parameter of a model follows from its gradient."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from svgd_onnx.transforms.optimizers import OPTIMIZERS, Optimizer
from svgd_onnx.transforms.optimizers.loss_scale import LossScale
from svgd_onnx.transforms.optimizers.session_operator import SessionOperator

WEIGHT_DECAY = "weight_decay"


@dataclass(frozen=True)
class Update:
    """The update of all parameters.

    In this order: the mean of the gradients over the batches of a step, with that of the proximal term, clipped
    by value and by norm; the rule's direction, and weight decay in it; the parameter, and its average.

    Attributes:
        rule: a key of `OPTIMIZERS`.
        hyper_parameters: values for all of the rule's `defaults`.
        rates: factors on the learning rate by parameter; 1 where there is none.
        weight_decays: decoupled weight decay by parameter; 0 where there is none.
        proximal: mu, by which a loss mu / 2 * |parameter - anchor|^2 is added; 0 without.
        clip_value: the largest size of an entry of a gradient; None for any.
        clip_norm: the largest norm of all gradients together; None for any.
        average: decay of the moving average of parameters; None without.
        accumulation_steps: batches of a step.
        loss_scale: of gradients on their way, which are as they are without it by then; None without.
    """

    rule: str
    hyper_parameters: Mapping[str, float]
    rates: Mapping[str, float] = field(default_factory=dict)
    weight_decays: Mapping[str, float] = field(default_factory=dict)
    proximal: float = 0.0
    clip_value: float | None = None
    clip_norm: float | None = None
    average: float | None = None
    accumulation_steps: int = 1
    loss_scale: LossScale | None = None

    @property
    def changes_gradients(self) -> bool:
        """Whether the rule takes others than those of the loss."""
        return bool(self.proximal) or self.clip_value is not None or self.clip_norm is not None

    @property
    def is_of_gradients(self) -> bool:
        """Whether the rule takes the gradients of a batch as they are."""
        return self.accumulation_steps == 1 and not self.changes_gradients

    @property
    def optimizer(self) -> Optimizer:
        """The rule."""
        return OPTIMIZERS[self.rule]

    def kind_of(self, parameter: str) -> tuple[float, float]:
        """The factor on the rate, and the weight decay; parameters of one kind may be updated as one."""
        return self.rates.get(parameter, 1.0), self.weight_decays.get(parameter, 0.0)

    def session_operator(self, parameters: Collection[str]) -> SessionOperator | None:
        """The operator of onnxruntime's training session that makes all of this of gradients.

        Args:
            parameters: those that are trained.

        Returns:
            None if none does: one operator has one rate and one decay, and tells nobody what it makes.
        """
        operator = self.optimizer.session_operator
        kinds = {self.kind_of(name) for name in parameters}
        if operator is None or self.average is not None or len(kinds) > 1:
            return None
        ((rate, decay),) = kinds or {(1.0, 0.0)}
        if rate != 1 or (decay and WEIGHT_DECAY not in self.optimizer.defaults):
            return None
        return operator({**self.hyper_parameters, WEIGHT_DECAY: decay})
