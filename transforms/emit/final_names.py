"""The names that artifacts have: the model's own as they came, ours beside them."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.step_names import NEW_SUFFIX, beside, is_quoted, unquoted
from svgd_onnx.transforms.bodies import values_of, with_bodies
from svgd_onnx.transforms.names import gradient_name, rename


class FinalNames(ir.passes.InPlacePass):
    """Gives inputs, outputs and parameters of the model their names back, to which all others give way.

    Args:
        own: their names, in marks where `QuoteNames` put them.

    Ensures: no two values have one name; those of `own` are without marks. Gradients are called as ever,
        unless `own` has their name: other tensors of the model give way to them.
    """

    def __init__(self, own: Collection[str]) -> None:
        super().__init__()
        self._own = frozenset(own)
        self._plain = frozenset(map(unquoted, own))

    def of(self, name: str) -> str:
        """The final name of a value that artifacts take or give, if it is not what an input becomes."""
        return unquoted(name) if name in self._own else beside(unquoted(name), self._plain)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        names = {value: self.of(value.name or "") for value in graph.inputs}
        after = {f"{value.name}{NEW_SUFFIX}": name for value, name in names.items()}
        own = self._plain.union(names.values())
        for value in graph.outputs:
            before = after.get(value.name or "")
            new = None if before is None else beside(f"{before}{NEW_SUFFIX}", own)
            names[value] = self.of(value.name or "") if new is None else new
        outside = frozenset(names)
        taken = set(names.values())
        hidden = [
            value
            for inner in with_bodies(graph)
            for value in values_of(inner)
            if value not in outside
        ]
        gradients = {gradient_name(name) for name in self._own}  # before that of our loss, say
        hidden.sort(key=lambda each: (each.name not in gradients, is_quoted(each.name or "")))
        for value in hidden:
            name = beside(unquoted(value.name or ""), taken)
            taken.add(name)
            if name != value.name:
                names[value] = name
        changed = {value: name for value, name in names.items() if name != value.name}
        # through names that none has, for they may change places
        for index, value in enumerate(changed):
            rename(value, f"svgd.renamed.{index}")
        for value, name in changed.items():
            rename(value, name)
        return ir.passes.PassResult(model, modified=bool(changed))

    def ensures(self, model: ir.Model) -> None:
        graphs = with_bodies(model.graph)
        names = [value.name for graph in graphs for value in values_of(graph)]
        if len(names) != len(set(names)):
            raise ir.passes.PostconditionError("two values have one name")
