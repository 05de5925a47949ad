"""What there is to choose about a step over several ranks."""

from __future__ import annotations

from dataclasses import dataclass

from svgd_onnx.errors import UserError, check_choice, option

EXACT, LOCAL, SYNCHRONIZED = "exact", "local", "synchronized"
R_CHOICES = (EXACT, LOCAL)
BATCH_NORM_CHOICES = (LOCAL, SYNCHRONIZED)


@dataclass(frozen=True)
class DataParallelSettings:
    """Whether a step may run on several ranks, each with a share of the batch, and as what.

    Attributes:
        data_parallel: whether the step lies beside itself in pieces, between which tensors are averaged over
            all ranks. For the target onnx.
        r: "exact" for T of the whole batch: the mean of dY^2 is averaged before T acts, which makes the
            numbers those of one large batch; "local" for T by each rank's own r, averaged after the step, with
            one reduction a step.
        batch_norm: "local" for statistics of each rank's share, the running ones averaged; "synchronized"
            for those of the whole batch, with a reduction for each layer forward and one back.
    """

    data_parallel: bool = False
    r: str = EXACT
    batch_norm: str = LOCAL

    def check(self) -> None:
        """Refuses what is no choice, and choices about what is not asked for.

        Raises:
            UserError: names the setting.
        """
        check_choice("r", self.r, R_CHOICES)
        check_choice("batch_norm", self.batch_norm, BATCH_NORM_CHOICES)
        if self.data_parallel:
            return
        for name, idle in (("r", self.r != EXACT), ("batch_norm", self.batch_norm != LOCAL)):
            if idle:
                raise UserError(
                    f"{option(name)} is of training on several ranks: give {option('data_parallel')} too."
                )
