"""Adafactor: second moments kept as means of rows and columns (Shazeer and Stern, arXiv 1804.04235).

decay = 1 - t^exponent
r <- decay * r + (1 - decay) * mean of g^2 + stability along each row
c <- decay * c + (1 - decay) * mean of g^2 + stability along each column
u = g / sqrt(r c / mean of r)
w <- w - rate * u / max(1, rms(u) / threshold)

at step t = 1, 2, ..., Algorithms 4 and 6 with the rate as it is given: neither relative to the parameter nor
falling. Matrices are those of a tensor's last two axes. What has fewer axes keeps
v <- decay * v + (1 - decay) * (g^2 + stability), and u = g / sqrt(v).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from svgd_onnx.transforms.optimizers.optimizer import Optimizer
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir


def _states(shape: Sequence[int]) -> dict[str, Sequence[int]]:
    if len(shape) < 2:
        return {"mean_square": shape}
    return {
        "row_mean_square": [*shape[:-1], 1],
        "column_mean_square": [*shape[:-2], 1, shape[-1]],
    }


def _formula(step: Step) -> tuple[ir.Value, Mapping[str, ir.Value]]:
    write, gradient, rank = step.write, step.gradient, step.rank
    rest = write.node("Pow", step.steps(), step.number("decay_exponent"))
    decay = write.node("Sub", write.scalar(1), rest)
    square = write.node("Add", write.node("Mul", gradient, gradient), step.number("stability"))

    def moving_average(name: str, new: ir.Value) -> ir.Value:
        kept = write.node("Mul", step.state(name), decay)
        return write.node("Add", kept, write.node("Mul", new, rest))

    if rank < 2:
        new = {"mean_square": moving_average("mean_square", square)}
        root = write.node("Sqrt", new["mean_square"])
    else:
        rows = moving_average("row_mean_square", write.reduce("ReduceMean", square, [rank - 1]))
        columns = moving_average(
            "column_mean_square", write.reduce("ReduceMean", square, [rank - 2])
        )
        new = {"row_mean_square": rows, "column_mean_square": columns}
        # in this order nothing is lost, where a row and a column have no gradient either
        mean = write.node("Sqrt", write.reduce("ReduceMean", rows, [rank - 2]))
        share = write.node("Div", write.node("Sqrt", rows), mean)
        gradient = write.node("Div", gradient, share)
        root = write.node("Sqrt", columns)
    direction = write.node("Div", gradient, root)
    mean = write.node("ReduceMean", write.node("Mul", direction, direction), keepdims=0)
    excess = write.node("Div", write.node("Sqrt", mean), step.number("threshold"))
    return write.node("Div", direction, write.node("Max", excess, write.scalar(1))), new


ADAFACTOR = Optimizer(
    defaults={"decay_exponent": -0.8, "threshold": 1.0, "stability": 1e-30},
    options={},
    state=_states,
    session_operator=None,  # onnxruntime's operators keep states of the parameter's shape
    formula=_formula,
    elementwise=False,
    squares=True,
)
