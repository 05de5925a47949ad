"""What there is to choose about T."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from svgd_onnx.errors import check_choice, check_range, check_several

WEIGHTS, ALL_LINEAR = "weights", "all-linear"
GRANULARITIES = ("auto", "element", "channel")
GRAPH, EXAMPLE = "graph", "example"
GRADIENTS = (GRAPH, EXAMPLE)
OPERATORS = "operators"
ENCAPSULATIONS = (GRAPH, OPERATORS)
FUSED, PORTABLE = "fused", "portable"
T_KERNELS = (FUSED, PORTABLE)


@dataclass(frozen=True)
class VirtualGradientSettings:
    """The choices that T leaves open (paper Algorithm 1), named as `svgd_onnx.convert` takes them.

    Attributes:
        scale: s, the factor of T, > 0.
        rho: decay of r, in [0, 1).
        epsilon: added to r under the root, > 0.
        t_scope: where T acts: ("weights",) on weights of Gemm, MatMul, Conv and ConvTranspose,
            ("all-linear",) on every parameter in which its operation is linear (Algorithm 1 to the
            letter), or globs for such parameters by name; empty for no T at all.
        granularity: "element" for an r of the shape of the operation's output without its batch axis,
            "channel" for one entry a channel, "auto" for element where those sizes are fixed and
            channel where not.
        gradient: what feeds r: "graph" for dY as it stands in the training graph, that of the mean
            loss, as the authors' code does; "example" for dY times the batch size, that of each
            example's loss, as Algorithm 1 is written.
        t_kernel: "fused" for the custom operator library, "portable" for standard operators; None is
            what the target has by default.
        encapsulation: "graph" to put T into the gradient graph (paper Sec. 3.2), "operators" to
            differentiate twins of the operations, whose gradient has T inside (Sec. 3.1); the numbers
            are the same.
    """

    scale: float = 0.01
    rho: float = 0.9
    epsilon: float = 1e-6
    t_scope: Sequence[str] = (WEIGHTS,)
    granularity: str = "auto"
    gradient: str = GRAPH
    t_kernel: str | None = None
    encapsulation: str = GRAPH

    def __post_init__(self) -> None:
        check_several("t_scope", self.t_scope)
        object.__setattr__(self, "t_scope", tuple(self.t_scope))

    def check(self) -> None:
        """Refuses values out of range.

        Raises:
            UserError: names the setting.
        """
        check_range("scale", self.scale, self.scale > 0, "positive")
        check_range("rho", self.rho, 0 <= self.rho < 1, "at least 0 and below 1")
        check_range("epsilon", self.epsilon, self.epsilon > 0, "positive")
        check_choice("granularity", self.granularity, GRANULARITIES)
        check_choice("gradient", self.gradient, GRADIENTS)
        check_choice("encapsulation", self.encapsulation, ENCAPSULATIONS)
        if self.t_kernel is not None:
            check_choice("t_kernel", self.t_kernel, T_KERNELS)

    @property
    def hyper_parameters(self) -> dict[str, float]:
        """Those of Algorithm 1, by name."""
        return {"scale": self.scale, "rho": self.rho, "epsilon": self.epsilon}
