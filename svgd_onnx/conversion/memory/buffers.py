"""Which values of a step share memory, and when each memory is taken and given back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field

import onnx

from svgd_onnx.conversion.memory.reads import reads

# Of onnxruntime's kernels, those whose first output is the memory of their first input.
_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
# Those whose first output may take the place of an input that nothing else reads, by the input's place.
_IN_PLACE = {
    **dict.fromkeys(("Cast", "Celu", "Clip", "Elu", "HardSigmoid", "LeakyRelu", "Relu"), 0),
    **dict.fromkeys(("Selu", "Sigmoid", "Softplus", "Softsign", "Tanh", "ThresholdedRelu"), 0),
    **dict.fromkeys(("BatchNormalizationGradient", "GeluGradient", "VirtualGradient"), 0),
    **dict.fromkeys(("LayerNormalizationGradient", "LogisticUnitGradient", "ReluGradient"), 0),
    **dict.fromkeys(("AddRows", "ScatterElements", "SoftmaxGradient"), 0),
    **dict.fromkeys(("AdaptiveDescent", "Descent"), 2),
}


@dataclass
class Buffers:
    """What onnxruntime's planner makes of a graph (onnxruntime/core/framework/allocation_planner.cc).

    Memory of a value that nothing reads any more is kept for the next value of the same shape, if there is one
    to come: it is given back only after the last that lies in it.

    Args:
        nodes: in the order in which they run.
        elsewhere: values that have memory of their own: inputs, initializers, and outputs that are bound.
        shape: of a value, with its type; equal where the values are alike for every batch.

    Attributes:
        taken: of each node, the buffers that it is the first to need; each goes by its first value's name.
        given_back: of each node, those that no node after it needs.
    """

    nodes: Sequence[onnx.NodeProto]
    elsewhere: Collection[str]
    shape: Callable[[str], Hashable]
    taken: list[list[str]] = field(default_factory=list)
    given_back: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = Counter(name for node in self.nodes for name in reads(node))
        self._owner: dict[str, str] = {}
        self._readers: Counter[str] = Counter()
        self._kept: dict[Hashable, list[str]] = defaultdict(list)
        last: dict[str, int] = {}
        for number, node in enumerate(self.nodes):
            self.taken.append(
                [
                    name
                    for place, name in enumerate(node.output)
                    if name and name not in self.elsewhere and self._is_new(node, place, name)
                ]
            )
            read = reads(node)
            for name in read:
                if name in self._owner:
                    self._readers[self._owner[name]] -= 1
            ends = [self._owner[name] for name in (*read, *node.output) if name in self._owner]
            for buffer in dict.fromkeys(ends):
                last[buffer] = number
                if self._readers[buffer] == 0 and buffer not in self.elsewhere:
                    self._kept[self.shape(buffer)].append(buffer)
        self.given_back = [[] for _ in self.nodes]
        for buffer, number in last.items():
            if buffer not in self.elsewhere:
                self.given_back[number].append(buffer)

    def _is_new(self, node: onnx.NodeProto, place: int, name: str) -> bool:
        """Whether an output needs memory that is not there yet; notes in which it lies."""
        buffer = None
        if place == 0:
            buffer = self._viewed(node) or self._taken_over(node)
        kept = self._kept[self.shape(name)]
        if buffer is None and kept and self.shape(name) != ():
            buffer = kept.pop()
        self._owner[name] = buffer or name
        self._readers[self._owner[name]] += self._left[name]
        return buffer is None

    def _viewed(self, node: onnx.NodeProto) -> str | None:
        """The buffer that the first output is a view of."""
        if node.op_type not in _VIEWS or node.domain not in ("", "ai.onnx"):
            return None
        source = node.input[0]
        return source if source in self.elsewhere else self._owner.get(source)

    def _taken_over(self, node: onnx.NodeProto) -> str | None:
        """The buffer of an input that this node is the last to read, and writes its first output into."""
        place = _IN_PLACE.get(node.op_type, len(node.input))
        if place >= len(node.input):
            return None
        source = node.input[place]
        buffer = self._owner.get(source)
        if buffer is None or self._readers[buffer] != 1 or buffer in self.elsewhere:
            return None
        return buffer if self.shape(source) == self.shape(node.output[0]) else None
