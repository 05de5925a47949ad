"""Every sentence by which something is refused or warned of, out of the source, for docs/reference/errors.md.

A sentence is the first argument of a `UserError`, of a kind of one, or of an `Advice`; a phrase, that of a
`RefusedError`, which stands in a sentence about a node. They are read off the syntax tree, nothing is imported.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("svgd_onnx", "transforms")
ERROR, WARNING, PHRASE = "UserError", "Advice", "RefusedError"
UNKNOWN = "…"
"""What stands for what only a run knows and no name says."""
_OPTION_OFF = "without"


@dataclass(frozen=True)
class Message:
    """One sentence, or phrase.

    Attributes:
        kind: ERROR, WARNING or PHRASE.
        parts: its text; every second one is the name of what a run puts there.
        file: where it is written, from the root.
    """

    kind: str
    parts: tuple[str, ...]
    file: str

    @property
    def text(self) -> str:
        """As one string, names in angle brackets."""
        return "".join(f"<{part}>" if index % 2 else part for index, part in enumerate(self.parts))


@cache
def messages() -> tuple[Message, ...]:
    """All of them, by file and line."""
    trees = {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
        for source in SOURCES
        for path in sorted((ROOT / source).rglob("*.py"))
    }
    kinds = _kinds(trees.values())
    everywhere: dict[str, str] = {}
    for tree in trees.values():
        everywhere |= {
            name: text for name, text in _constants(tree).items() if not name.startswith("_")
        }
    found = (_of(file, tree, kinds, everywhere) for file, tree in trees.items())
    return tuple(itertools.chain.from_iterable(found))


def _kinds(trees: Iterable[ast.Module]) -> dict[str, str]:
    """ERROR, WARNING or PHRASE of the classes whose objects have messages."""
    bases = {
        each.name: {ast.unparse(base) for base in each.bases}
        for tree in trees
        for each in tree.body
        if isinstance(each, ast.ClassDef)
    }
    kinds = {kind: kind for kind in (ERROR, WARNING, PHRASE)}
    while more := {
        name: kinds[base]
        for name, its in bases.items()
        if name not in kinds
        for base in its
        if base in kinds
    }:
        kinds |= more
    return kinds


def _of(
    file: str, tree: ast.Module, kinds: dict[str, str], everywhere: dict[str, str]
) -> Iterator[Message]:
    reader = _Reader({**everywhere, **_constants(tree)})
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    for kind, sentence in _sentences(tree, kinds):
        called = (
            functions.get(ast.unparse(sentence.func)) if isinstance(sentence, ast.Call) else None
        )
        for each in [sentence] if called is None else _returned(called):
            if isinstance(
                each, ast.Constant | ast.JoinedStr | ast.BinOp
            ):  # else another one's, handed on
                yield Message(kind, _joined(reader.parts(each)), file)


def _sentences(tree: ast.Module, kinds: dict[str, str]) -> Iterator[tuple[str, ast.expr]]:
    """What each message is made with, in the order of lines, those of a kind's own `__init__` too."""
    made = {
        call: kinds[each.name]
        for each in tree.body
        if isinstance(each, ast.ClassDef) and each.name in kinds
        for call in ast.walk(each)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__"
    }
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and each.args]
    for call in sorted(calls, key=lambda call: call.lineno):
        kind = made.get(call) or kinds.get(_called(call))
        if kind is not None:
            yield kind, call.args[0]


def _called(call: ast.Call) -> str:
    """The name of what is called, without what it belongs to."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _returned(function: ast.FunctionDef) -> list[ast.expr]:
    return [
        each.value for each in ast.walk(function) if isinstance(each, ast.Return) and each.value
    ]


def _constants(tree: ast.Module) -> dict[str, str]:
    """The texts and numbers that a file gives names to."""
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        (target, *_), value = node.targets, node.value
        several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        pairs = zip(target.elts, value.elts) if several else [(target, value)]
        for name, constant in pairs:
            if isinstance(name, ast.Name) and isinstance(constant, ast.Constant):
                found[name.id] = str(constant.value)
    return found


@dataclass(frozen=True)
class _Reader:
    """Takes an expression of a sentence apart.

    Attributes:
        constants: texts and numbers, by the names that they have.
    """

    constants: dict[str, str]

    def parts(self, node: ast.expr) -> Iterator[tuple[bool, str]]:
        """Whether a piece is a name, and the piece."""
        if isinstance(node, ast.Constant):
            yield False, str(node.value)
        elif isinstance(node, ast.JoinedStr):
            for value in node.values:
                yield from self.parts(value)
        elif isinstance(node, ast.FormattedValue):
            yield from self.parts(node.value)
        elif isinstance(node, ast.BinOp):
            yield from self.parts(node.left)
            yield from self.parts(node.right)
        elif isinstance(node, ast.IfExp):
            yield from self.parts(node.body)
        elif isinstance(node, ast.Name) and node.id in self.constants:
            yield False, self.constants[node.id]
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.attr.isupper()
        ):
            yield from self.parts(ast.Name(node.attr))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("option", _OPTION_OFF):
            yield from self._option(node)
        else:
            yield True, _name(node)

    def _option(self, call: ast.Call) -> Iterator[tuple[bool, str]]:
        name = _joined(self.parts(call.args[0]))
        no = "no-" if ast.unparse(call.func) == _OPTION_OFF else ""
        yield False, f"--{no}"
        yield (False, name[0].replace("_", "-")) if len(name) == 1 else (True, name[1])
        for value in call.args[1:]:
            yield False, " "
            yield from self.parts(value)


def _name(node: ast.expr) -> str:
    """What an expression that a sentence shows is called."""
    if isinstance(node, ast.Name):
        name = node.id
    elif isinstance(node, ast.Attribute):
        name = node.attr
    elif isinstance(node, ast.Call) and len(node.args) == 1:
        return _name(node.args[0])
    elif isinstance(node, ast.Subscript):
        return _name(node.value)
    else:
        return UNKNOWN
    return name.strip("_").replace("_", " ").lower()


def _joined(pieces: Iterable[tuple[bool, str]]) -> tuple[str, ...]:
    """Texts and names by turns, beginning with a text."""
    parts = [""]
    for is_name, piece in pieces:
        if is_name:
            parts += [piece, ""]
        else:
            parts[-1] += piece
    return tuple(parts[:-1] if len(parts) > 1 and not parts[-1] else parts)


def matching(globs: Iterable[str]) -> list[Message]:
    """The messages of files, by globs from the root, in the order of the globs."""
    found = [file for glob in globs for file in sorted(ROOT.glob(glob))]
    order = {path.relative_to(ROOT).as_posix(): index for index, path in enumerate(found)}
    return sorted(
        (message for message in messages() if message.file in order),
        key=lambda message: order[message.file],
    )
