"""Make a gradient graph of a rank's share of a batch that of the whole batch, where it is summed over ranks."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.step_names import EXAMPLES, LOSS_SHARE, MEAN, SHARE, SUM
from svgd_onnx.transforms.bodies import all_bodies, all_nodes
from svgd_onnx.transforms.data_parallel.all_reduce import DOMAIN, all_reduced
from svgd_onnx.transforms.data_parallel.replicated import Replicated
from svgd_onnx.transforms.data_parallel.settings import EXACT, SYNCHRONIZED, DataParallelSettings
from svgd_onnx.transforms.data_parallel.synchronized import SYNCHRONIZED_RULES
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.lower import standard_t
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.passes import require_outputs
from svgd_onnx.transforms.rule import apply_rule, static_shape
from svgd_onnx.transforms.virtualize.operator_t import is_t
from svgd_onnx.transforms.writer import Writer, take_place


class GlobalBatch(ir.passes.InPlacePass):
    """Marks what is to be summed over all ranks, so that the step is that of the batch of all.

    The gradient of the loss by itself, 1, is multiplied by the rank's share of that loss, an input. So every
    dY is that of the loss of the whole batch: gradients of parameters are the sums of those of the ranks, and
    r is fed the mean of their mean dY^2, before T acts ("exact"). T's factors that come after a gradient come
    after its sum. With "local" T acts by the rank's own r, and gradients and new r are summed alone.

    Args:
        parameters: the trainable ones.
        batch: the inputs that differ from rank to rank.
        settings: what is exact.

    Requires: the loss and each gradient are outputs, and so is what each state becomes.
    Ensures: each output is the same on all ranks, if states and parameters are.
    """

    def __init__(
        self, parameters: Sequence[str], batch: Sequence[str], settings: DataParallelSettings
    ) -> None:
        super().__init__()
        self._gradients = {gradient_name(name): name for name in parameters}
        self._batch = frozenset(batch)
        self._settings = settings

    def requires(self, model: ir.Model) -> None:
        require_outputs(model, [LOSS_OUTPUT, *self._gradients])

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        graph.opset_imports[DOMAIN] = 1
        _take_share(graph)
        if self._settings.batch_norm == SYNCHRONIZED:
            for node in list(all_nodes(graph)):
                if node.op_type in SYNCHRONIZED_RULES and node.graph is graph:
                    apply_rule(graph, node, SYNCHRONIZED_RULES[node.op_type])
        if self._settings.r == EXACT:
            for node in [node for node in graph if is_t(node)]:
                apply_rule(graph, node, _exact)
        known = Replicated(graph, {*self._batch, SHARE})
        shapes = {value.name: value.shape for value in graph.inputs}
        for value in graph.outputs:
            if value.name in self._gradients:
                value.shape = shapes[self._gradients[value.name]]
        for position, value in enumerate(list(graph.outputs)):
            graph.outputs[position] = self._over_ranks(graph, value, known)
        return ir.passes.PassResult(model, modified=True)

    def _over_ranks(self, graph: ir.Graph, value: ir.Value, known: Replicated) -> ir.Value:
        """What takes an output's place."""
        if value in known.values:
            return value
        if value.name in self._gradients:
            total = _summed(graph, value, known)
        else:
            weight = LOSS_SHARE if value.name == LOSS_OUTPUT else MEAN
            total = _reduced(graph, value, weight)
        if total is not value:
            take_place(total, value)
        return total

    def ensures(self, model: ir.Model) -> None:
        known = Replicated(model.graph, {*self._batch, SHARE})
        if not all(value in known.values for value in model.graph.outputs):
            raise ir.passes.PostconditionError("an output differs from rank to rank")
        if any(node.domain == DOMAIN for body in all_bodies(model.graph) for node in body):
            raise ir.passes.PostconditionError("a body would wait for other ranks")


def _take_share(graph: ir.Graph) -> None:
    """Multiplies the gradient of the loss by itself by the rank's share."""
    seed = graph.initializers[gradient_name(LOSS_OUTPUT)]
    share = ir.val(SHARE, ir.DataType.FLOAT, [])
    readers = tuple(seed.uses())
    write = Writer(SHARE, graph.opset_imports[""])
    product = write.node("Mul", seed, share)
    product.type, product.shape = seed.type, seed.shape
    for node, position in readers:
        node.replace_input_with(position, product)
    graph.inputs.append(share)
    write.insert_before(graph, graph[0])


def _exact(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    """T whose r is fed by the whole batch; of N = K n examples, N^2 / K is K n^2."""
    weight = EXAMPLES if "per_example" in node.attributes else MEAN
    return standard_t(node, write, lambda mean: all_reduced(write, mean, weight))


def _summed(graph: ir.Graph, value: ir.Value, known: Replicated) -> ir.Value:
    """A gradient of the whole batch: its terms and factors that are so are left out of the sum over ranks."""
    if value in known.values:
        return value
    node = value.producer()
    if node is None or not known.is_partly(node):
        return _reduced(graph, value, SUM)
    if node.op_type == "Mul" and any(static_shape(each) is None for each in known.others(node)):
        return _reduced(graph, value, SUM)
    for each in known.others(node):
        each.shape = each.shape if static_shape(each) is not None else value.shape
    for position, given in enumerate(node.inputs):
        if given is not None:
            total = _summed(graph, given, known)
            if total is not given:
                node.replace_input_with(position, total)
    return value


def _reduced(graph: ir.Graph, value: ir.Value, weight: str) -> ir.Value:
    node = value.producer()
    assert node is not None
    write = Writer(f"{value.name}/over_ranks", graph.opset_imports[""])
    total = all_reduced(write, value, weight)
    write.insert_after(graph, node)
    return total
