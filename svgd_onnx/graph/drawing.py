"""A training graph as a drawing for a paper: as Fig. 3 and 6 of arXiv 1907.04021, in SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from svgd_onnx.errors import UserError
from svgd_onnx.graph.content import shape_in_words, shown
from svgd_onnx.graph.outline import Outline, Step, outline_of
from svgd_onnx.graph.training_graph import TrainingGraph

MOST_OPERATIONS = 32
"""Above so many a drawing is no figure any more."""

# Heights within a lane: parameters, the operation, its gradient, T with the gradient behind it, what is given.
_PARAMETER, _OPERATION, _RAW, _VIRTUAL, _GIVEN, _LANE = 16, 74, 158, 222, 284, 322
_HALF, _T_BESIDE, _APART, _MOST_LETTERS = 15, 46, 26, 20
_FORWARD, _GRADIENT, _T, _TRAINED, _FROZEN, _INK = (
    "#3466ad",
    "#7d4fa8",
    "#e07800",
    "#177245",
    "#2482ad",
    "#1b1f24",
)
_MARGIN, _FONT, _SMALL, _ARCH = 14, 12, 10, 38


def drawing_of(graph: TrainingGraph) -> str:
    """The drawing of a graph, as SVG.

    Raises:
        UserError: it has too many operations.
    """
    outline = outline_of(graph)
    count = len(outline.steps)
    if count > MOST_OPERATIONS:
        raise UserError(
            f"A drawing has room for {MOST_OPERATIONS} operations, and {count:,} of this model have a gradient "
            "or parameters: write a page (.html), which opens layer by layer."
        )
    text: str = Xml.tostring(_Drawing(outline, graph).root, encoding="unicode")
    return f"{text}\n"


class _Drawing:
    """The elements of one drawing."""

    def __init__(self, outline: Outline, graph: TrainingGraph) -> None:
        self._graph = graph
        steps = outline.steps.values()
        columns = range(1 + max((step.column for step in steps), default=0))
        widths = [max(_width(step) for step in steps if step.column == each) for each in columns]
        self._boxes = [max(_box(step) for step in steps if step.column == each) for each in columns]
        self._centers = [sum(widths[:each]) + widths[each] / 2 + _MARGIN for each in columns]
        width = sum(widths) + 2 * _MARGIN
        height = (1 + max((step.lane for step in steps), default=0)) * _LANE + 2 * _MARGIN
        size = {"viewBox": f"0 0 {width} {height}", "width": f"{width}", "height": f"{height}"}
        font = {"font-family": "Helvetica, Arial, sans-serif", "font-size": str(_FONT)}
        self.root = Xml.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **font})
        self._element("rect", width=width, height=height, fill="#ffffff")
        heads = self._element("defs")
        for color in (_FORWARD, _GRADIENT, _T):
            head = {"id": f"to-{color[1:]}", "viewBox": "0 0 8 8", "refX": "7", "refY": "4"}
            turned = {"markerWidth": "7", "markerHeight": "7", "orient": "auto"}
            marker = Xml.SubElement(heads, "marker", {**head, **turned})
            Xml.SubElement(marker, "path", {"d": "M0 0.5L8 4L0 7.5z", "fill": color})
        for source, reader in outline.forward:
            self._between(outline.steps[source], outline.steps[reader])
        for source, reader in outline.backward:
            self._back(outline.steps[source], outline.steps[reader])
        for step in steps:
            self._step(step)

    def _step(self, step: Step) -> None:
        x, top = self._centers[step.column], step.lane * _LANE + _MARGIN
        box = self._boxes[step.column]
        self._box(x, top + _OPERATION, step.label, _FORWARD, box)
        for at, name in _beside(x, step.parameters):
            role = self._graph.tensors[name].role
            color = _TRAINED if role == "trained" else _FROZEN
            self._pill(at, top + _PARAMETER, _end(name), color, hollow=role != "trained")
            self._line([(at, top + _PARAMETER + 10), (x, top + _OPERATION - _HALF - 2)], _FORWARD)
        if not (step.gradient or step.virtual):
            return
        to = top + (_RAW if step.gradient else _VIRTUAL) - _HALF
        self._line([(x, top + _OPERATION + _HALF), (x, to)], "#9aa3ad", dashed=True)
        given = [*step.raw_gradients, *step.virtual_gradients]
        places = {name: at for at, name in _beside(x - _APART * bool(step.states), given)}
        for name, at in places.items():
            self._pill(at, top + _GIVEN, f"∇{_end(name)}", _GRADIENT, hollow=True)
        for name in step.raw_gradients:
            down = (x - box / 2 + 6 if step.states else x, top + _RAW + _HALF)
            self._line([down, (places[name], top + _GIVEN - 12)], _GRADIENT)
        if step.gradient:
            self._box(x, top + _RAW, _gradient_label(step, step.gradient), _GRADIENT, box)
        if step.states:
            self._virtual(step, x, top, places)

    def _virtual(self, step: Step, x: float, top: float, places: dict[str, float]) -> None:
        """T between dY and the gradient of the parameters, with the shape of r beside it."""
        box = self._boxes[step.column]
        right = x + box / 2 + _T_BESIDE
        self._line([(right, top + _RAW), (right, top + _VIRTUAL - 12)], _GRADIENT)
        self._line([(right - 11, top + _VIRTUAL), (x + box / 2 + 2, top + _VIRTUAL)], _T)
        self._element("circle", cx=right, cy=top + _VIRTUAL, r=11, fill=_T)
        self._text(right, top + _VIRTUAL + 4, "T", fill="#ffffff", bold=True)
        shape = self._graph.tensors[step.states[0]].shape or ()
        self._text(right, top + _VIRTUAL + 26, f"r {shape_in_words(shape)}", fill=_T, size=10)
        if not step.virtual:  # T's factors are multiplied to the gradient that dY gives
            self._line([(x, top + _RAW + _HALF), (x, top + _VIRTUAL - _HALF - 1)], _GRADIENT)
        self._box(x, top + _VIRTUAL, _gradient_label(step, step.virtual or ["Mul"]), _T, box)
        for name in step.virtual_gradients:
            self._line([(x, top + _VIRTUAL + _HALF), (places[name], top + _GIVEN - 12)], _T)

    def _between(self, source: Step, reader: Step) -> None:
        """A value: straight on to the next column, and beneath what stands between."""
        y, down = (step.lane * _LANE + _MARGIN + _OPERATION for step in (source, reader))
        if reader.column - source.column > 1:
            x, to = self._side(source, 0.2), self._side(reader, -0.2)
            self._curve(x, y + _HALF, to, down + _HALF + 1, _FORWARD, _ARCH)
        else:
            self._curve(self._side(source, 0.5), y, self._side(reader, -0.5) - 2, down, _FORWARD)

    def _back(self, source: Step, reader: Step) -> None:
        """A gradient: to the left, and above what stands between."""
        y, down = (step.lane * _LANE + _MARGIN + _RAW for step in (source, reader))
        beside = 0 if reader.gradient else _T_BESIDE
        if source.column - reader.column > 1:
            x, to = (
                self._side(source, -0.2),
                self._side(reader, 0.2 if not beside else 0.5) + beside,
            )
            down -= 0 if beside else _HALF + 1
            self._curve(x, y - _HALF, to, down, _GRADIENT, -_ARCH)
        else:
            to = self._side(reader, 0.5) + 2 * bool(reader.gradient) + beside
            head = bool(reader.gradient)  # else dY comes to T alone, which has one
            self._curve(self._side(source, -0.5), y, to, down, _GRADIENT, head=head)

    def _side(self, step: Step, part: float) -> float:
        return self._centers[step.column] + part * self._boxes[step.column]

    def _curve(
        self,
        x: float,
        y: float,
        to: float,
        down: float,
        color: str,
        arch: float = 0,
        *,
        head: bool = True,
    ) -> None:
        if y == down and not arch:
            self._line([(x, y), (to, down)], color, head=head)
            return
        lean = (to - x) * (0.12 if arch else 1 / 3)
        way = (
            f"M{x:g} {y:g}C{x + lean:g} {y + arch:g} {to - lean:g} {down + arch:g} {to:g} {down:g}"
        )
        self._path(way, color, head=head)

    def _line(
        self,
        points: Sequence[tuple[float, float]],
        color: str,
        *,
        dashed: bool = False,
        head: bool = True,
    ) -> None:
        self._path(
            "M" + "L".join(f"{x:g} {y:g}" for x, y in points), color, dashed=dashed, head=head
        )

    def _path(self, way: str, color: str, *, dashed: bool = False, head: bool = True) -> None:
        style = {"stroke-dasharray": "2 3"} if dashed else {}
        if head and not dashed:
            style["marker-end"] = f"url(#to-{color[1:]})"
        self._element("path", {"stroke-width": "1.3", **style}, d=way, stroke=color, fill="none")

    def _box(self, x: float, y: float, text: str, color: str, width: float) -> None:
        place = {"x": x - width / 2, "y": y - _HALF, "width": width, "height": 2 * _HALF, "rx": 5}
        self._element("rect", **place, fill="#ffffff", stroke=color)
        self._text(x, y + 4, _cut(text))

    def _pill(self, x: float, y: float, text: str, color: str, *, hollow: bool) -> None:
        width = _pill_width(text)
        place = {"x": x - width / 2, "y": y - 10, "width": width, "height": 20, "rx": 10}
        self._element("rect", **place, fill="#ffffff" if hollow else color, stroke=color)
        self._text(x, y + 3.5, _cut(text), fill=color if hollow else "#ffffff", size=_SMALL)

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        fill: str = _INK,
        size: float = _FONT,
        bold: bool = False,
    ) -> None:
        style = {"text-anchor": "middle", "font-size": f"{size:g}"}
        if bold:
            style["font-weight"] = "bold"
        self._element("text", style, x=x, y=y, fill=fill).text = shown(text)

    def _element(
        self, tag: str, attributes: dict[str, str] | None = None, /, **others: str | float
    ) -> Xml.Element:
        given = {
            name: f"{each:g}" if isinstance(each, int | float) else each
            for name, each in others.items()
        }
        return Xml.SubElement(self.root, tag, {**given, **(attributes or {})})


def _width(step: Step) -> float:
    """What a column needs for a step: its boxes with T beside them, or the names above and beneath them."""
    box = _box(step) + 2 * _APART
    given = [*step.raw_gradients, *step.virtual_gradients]
    above = sum(_pill_width(_end(name)) + 6 for name in step.parameters)
    beneath = sum(_pill_width(f"∇{_end(name)}") + 6 for name in given)
    if step.states:
        return max(box + 2 * _T_BESIDE, above + 12, beneath + 12 + 2 * _APART)
    return max(box, above + 12, beneath + 12)


def _box(step: Step) -> float:
    labels = [step.label, _gradient_label(step, step.gradient), _gradient_label(step, step.virtual)]
    return max(64.0, *(_room(label, _FONT) + 16 for label in labels))


def _pill_width(text: str) -> float:
    return _room(text, _SMALL) + 18


def _room(text: str, size: float) -> float:
    """How wide a text is, about: letters differ from one program to the next."""
    return len(_cut(text)) * size * 0.57


def _beside(x: float, names: Sequence[str]) -> list[tuple[float, str]]:
    """Places of the names of one kind, side by side about a middle."""
    widths = [_pill_width(f"∇{_end(name)}") + 6 for name in names]
    left = x - sum(widths) / 2
    return [
        (left + sum(widths[:place]) + widths[place] / 2, name) for place, name in enumerate(names)
    ]


def _gradient_label(step: Step, operators: Sequence[str]) -> str:
    """The operator of a gradient; of several nodes, or a long name, whose gradient it is."""
    is_short = len(operators) == 1 and len(operators[0]) <= _MOST_LETTERS
    return operators[0] if is_short else f"∇{step.label}"


def _end(name: str) -> str:
    """A parameter's name in short: its last two parts."""
    parts = shown(name).replace("/", ".").split(".")
    return ".".join(parts[-2:])


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"…{text[1 - _MOST_LETTERS :]}"
