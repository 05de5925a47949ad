"""Which models may train on several ranks, so that the numbers are those of one large batch."""

from __future__ import annotations

import warnings

from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.targets import STANDARD_ONNX
from svgd_onnx.transforms.data_parallel import LOCAL, DataParallelSettings
from svgd_onnx.transforms.losses import loss_if_known
from svgd_onnx.transforms.virtualize import VirtualGradientSettings
from svgd_onnx.transforms.virtualize.settings import EXAMPLE

NOT_PARALLEL = DataParallelSettings()


def check_data_parallel(
    parallel: DataParallelSettings,
    target: str,
    training: TrainingSettings,
    virtual_gradient: VirtualGradientSettings,
    *,
    gradient_norms: bool,
) -> None:
    """Refuses what has no such step.

    Raises:
        UserError: says what does not go with it.

    Warns:
        of a loss that this takes for a mean over examples, which nobody can see in it.
    """
    if not parallel.data_parallel:
        return
    wanted = option("data_parallel")
    if target != STANDARD_ONNX.name:
        raise UserError(
            f"{wanted} is of the target onnx: give {option('target', STANDARD_ONNX.name)} too."
        )
    if gradient_norms:
        raise UserError(
            f"{wanted} does not go with {option('gradient_norms')}, as gradients without T are not summed over "
            "ranks: leave one of them out."
        )
    terms = list(training.losses.values())
    losses = [loss_if_known(str(each.loss)) for each in terms]
    if any(loss is not None and loss.compares_examples for loss in losses):
        raise UserError(
            f"The loss triplet compares examples of a batch with each other, and ranks have a share each: "
            f"leave {wanted} out, or choose another {option('loss')}."
        )
    reductions = {each.settings.reduction for each in terms}
    counting = any(
        each.settings.reduction == "mean"
        and (each.settings.ignore_index is not None or each.settings.class_weights is not None)
        for each in terms
    )
    if len(terms) > 1 and (counting or len(reductions) > 1):
        raise UserError(
            f"{wanted} weighs ranks by what counts in the loss, and these losses count differently: leave "
            f"{option('ignore_index')} and {option('class_weights')} out, and give all one "
            f"{option('reduction')}."
        )
    if parallel.r == LOCAL and virtual_gradient.gradient == EXAMPLE:
        raise UserError(
            f"{option('r', LOCAL)} does not go with {option('gradient', EXAMPLE)}: leave one of them out."
        )
    if any(loss is None or loss.target is None for loss in losses):
        warnings.warn(
            Advice(
                f"{wanted} takes the loss for a mean over examples, each counted alike: if it is another, the "
                "numbers are not those of one large batch."
            ),
            stacklevel=4,
        )
