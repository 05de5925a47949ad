"""Numbers for groups of parameters, which globs name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.parameters import matches


def by_parameter(
    graph: ir.Graph, trained: Sequence[str], name: str, numbers: Mapping[str, float]
) -> dict[str, float]:
    """The number of each parameter that a glob matches: that of the last one.

    Args:
        graph: whose initializers the parameters are.
        trained: their names.
        name: the option that the numbers are of.
        numbers: by glob.

    Raises:
        UserError: a glob matches nothing that is trained.
    """
    found: dict[str, float] = {}
    for glob, number in numbers.items():
        matched = [each for each in trained if matches(graph.initializers[each], [glob])]
        if not matched:
            names = listed(unquoted(each) for each in trained)
            raise UserError(
                f"{option(name)} '{glob}' matches no parameter that is trained; those are: {names}."
            )
        found.update(dict.fromkeys(matched, number))
    return found
