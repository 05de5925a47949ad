"""In which numbers a step computes its products, and how its loss is scaled for that."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.errors import Advice, UserError, check_choice, fits_float32, option
from svgd_onnx.targets.target import Target
from svgd_onnx.transforms.mixed_precision import ScaleLoss, products_of
from svgd_onnx.transforms.optimizers.loss_scale import LossScale

FLOAT32, FLOAT16 = "float32", "float16"
COMPUTE = (FLOAT32, FLOAT16)
DYNAMIC = "dynamic"


@dataclass(frozen=True)
class ComputeSettings:
    """The numbers of products.

    Attributes:
        compute: "float32", or "float16" for matrix products and convolutions of the forward and the backward
            pass, of the target onnx; parameters, r, losses, normalizations and all sums stay float32.
        loss_scale: what the loss's gradient is multiplied by on its way through float16: a number, or "dynamic"
            for one that halves where a gradient is not finite, and that step is left out, and doubles after
            2,000 steps in a row that were not. None for the latter with float16.
    """

    compute: str = FLOAT32
    loss_scale: float | str | None = None

    def check(self) -> None:
        """Refuses what there is not, and a scale that is of nothing.

        Raises:
            UserError: names the setting.
        """
        check_choice("compute", self.compute, COMPUTE)
        given = self.loss_scale
        if given is None:
            return
        if self.compute == FLOAT32:
            raise UserError(
                f"{option('loss_scale')} is of float16: give {option('compute', FLOAT16)} too, or leave it out."
            )
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        if given != DYNAMIC and not (is_number and fits_float32(float(given)) and float(given) > 0):
            raise UserError(
                f"{option('loss_scale')} is {given}, but must be above 0, as float32, or '{DYNAMIC}'."
            )

    def check_target(
        self, target: Target, accumulation_steps: int, gradient_norms: bool = False
    ) -> None:
        """Refuses what a target, or a step with these settings, cannot do.

        Raises:
            UserError: says what can.
        """
        if self.compute == FLOAT32:
            return
        if target.name != "onnx":
            raise UserError(
                f"{option('compute', FLOAT16)} is of the target onnx: onnxruntime's training session, which "
                f"{target.name} is for, has no loss scaling; give {option('target', 'onnx')}."
            )
        if gradient_norms:
            raise UserError(
                f"{option('gradient_norms')} is of gradients as they are, which {option('compute', FLOAT16)} "
                "scales on their way: leave one of them out."
            )
        if accumulation_steps > 1 and self.scale is not None and self.scale.is_dynamic:
            raise UserError(
                f"With {option('accumulation_steps')} a batch cannot be left out of a step for its scale: give "
                f"{option('loss_scale')} a number, as 1024."
            )

    def begin(self, plan: TrainingPlan, gradients: ir.Model) -> frozenset[str]:
        """Scales the gradients of a graph, where they are to go through float16.

        Args:
            plan: of the model.
            gradients: its gradient graph with T in it, without what is added to gradients (L1).

        Returns:
            Names of what is computed in float16, of the forward pass; none with float32.

        Warns:
            where the model has no products.
        """
        if self.scale is None:
            return frozenset()
        ScaleLoss(plan.selection.trainable, self.scale)(gradients)
        found = products_of(plan.forward.graph)
        if not found:
            warnings.warn(
                Advice(
                    f"Nothing is computed in {FLOAT16}: the model has no MatMul, Gemm, Conv or ConvTranspose "
                    "outside of bodies of control flow."
                ),
                stacklevel=5,
            )
        return frozenset(found)

    @property
    def scale(self) -> LossScale | None:
        """The scale; None without float16."""
        if self.compute == FLOAT32:
            return None
        if self.loss_scale in (None, DYNAMIC):
            return LossScale()
        return LossScale(float(self.loss_scale or 0), is_dynamic=False)
