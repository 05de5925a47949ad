"""What tells the loss of a step, in time, whether a gradient is finite."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.emit.finite_loss import PREFIX, SUMS
from svgd_onnx.transforms.fast_operators import FINITE_LOSS
from svgd_onnx.transforms.rule import integer, static_shape
from svgd_onnx.transforms.virtualize import DOMAIN
from svgd_onnx.transforms.writer import Writer

# Of a gradient's numbers: what is smaller may be kept.
_LARGE = 1 << 18


class GradientChecks:
    """Has large gradients looked at before they are used.

    `FiniteLoss` reads gradients at the end of a step: until then all of them are kept, which are as much memory
    as the parameters. Where what a gradient is used with waits for what looks at it, nothing keeps it longer
    than that, and the loss reads what that has found.

    Args:
        graph: `FiniteLoss` was there.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._check: ir.Node | None = None
        self._sizes: dict[ir.Value, ir.Value] = {}
        self._found: dict[ir.Value, ir.Value] = {}
        self._told: dict[ir.Value, None] = {}
        for node in graph:
            first = node.inputs[0] if node.inputs else None
            if first is None or not (node.name or "").startswith(f"{PREFIX}/"):
                continue
            if node.op_type == FINITE_LOSS:
                self._check = node
            elif node.op_type in SUMS:
                self._sizes[first] = node.outputs[0]
        parts = ([], [], [], []) if self._check is None else _parts(self._check)
        _, self._by_size, self._by_squares, _ = map(frozenset, parts)

    def guarded(self, write: Writer, number: ir.Value, gradient: ir.Value) -> ir.Value:
        """A scalar, float32, that is NaN where a large gradient is not finite; as it is where none is read.

        Args:
            write: where to.
            number: the scalar.
            gradient: it.
        """
        if not is_large(gradient):
            return number
        if gradient in self._sizes:
            nothing = write.node("Mul", self._sizes[gradient], write.scalar(0))
            return write.node("Add", number, nothing)
        if gradient not in self._by_size | self._by_squares:
            return number
        return self._looked_at(write, number, gradient, gradient)

    def look(
        self, write: Writer, graph: ir.Graph, gradient: ir.Value, of: ir.Value | None = None
    ) -> None:
        """Has a gradient of a parameter that waits for the loss looked at where it is computed.

        Args:
            write: where to.
            graph: at whose end.
            gradient: it; where none reads it, nothing does.
            of: what it is a sum of, to be looked at in its place.
        """
        if gradient in self._by_size | self._by_squares:
            self._looked_at(write, write.scalar(0), gradient, gradient if of is None else of)
            write.append_to(graph)

    def _looked_at(
        self, write: Writer, number: ir.Value, gradient: ir.Value, of: ir.Value
    ) -> ir.Value:
        """The number, NaN where what stands for a gradient is not finite, which the loss then reads."""
        counts = {"squares": int(gradient in self._by_squares)}
        (found,) = write.nodes_with(FINITE_LOSS, [number, of], counts, 1, DOMAIN)
        self._found[gradient] = found
        return found

    def tell(self, size: ir.Value, gradients: Iterable[ir.Value] = ()) -> None:
        """Has the loss read a number that is finite if something is; in place of some gradients, if so."""
        self._told[size] = None
        self._found.update(dict.fromkeys(gradients, size))

    def finish(self, graph: ir.Graph) -> None:
        """Has the loss read what was found; what does stands at the end of the graph."""
        check = self._check
        if check is None or not (self._found or self._told):
            return
        loss, sizes, squares, factors = _parts(check)
        sizes = [self._found.get(value, value) for value in sizes]
        sizes += [self._found[value] for value in squares if value in self._found]
        squares = [value for value in squares if value not in self._found]
        check.attributes["squares"] = ir.AttrInt64("squares", len(squares))
        # X is there twice, if it is of two weights
        inputs = [*loss, *dict.fromkeys([*self._told, *sizes]), *squares, *factors]
        graph.remove(check)
        check.resize_inputs(len(inputs))
        for place, value in enumerate(inputs):
            check.replace_input_with(place, value)
        graph.append(check)


def is_large(gradient: ir.Value) -> bool:
    """Whether to keep a gradient, or a second of its parameter, takes memory that counts."""
    return prod(static_shape(gradient) or ()) >= _LARGE


def _parts(check: ir.Node) -> tuple[list[ir.Value], ...]:
    """What `FiniteLoss` reads: the loss, and numbers, squares and factors, these counted from the end."""
    read = [value for value in check.inputs if value is not None]
    factors = len(read) - integer(check, "factors", 0)
    squares = factors - integer(check, "squares", 0)
    return read[:1], read[1:squares], read[squares:factors], read[factors:]
