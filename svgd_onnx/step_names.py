"""Names in the graphs of artifacts.

A training step of the target onnx takes a batch, `LEARNING_RATE` (float32 scalar) and every tensor of the
checkpoint, and gives the loss and, for each tensor x that it changes, `x` + `NEW_SUFFIX`, to be fed as x at
the next step.

A model's inputs, outputs and parameters may have these names themselves, and keep them: ours then give way
(`beside`). While a model is converted, its own names that look like ours stand in marks that no file has by
chance (`quoted`).
"""

from __future__ import annotations

from collections.abc import Collection

LOSS = "svgd.loss"
LEARNING_RATE = "svgd.learning_rate"
UPDATE = "svgd.update"
"""Input of a step that accumulates gradients, bool: whether this batch is the last of a step."""
STEPS = "svgd.steps"
"""How often the parameters have changed, where the optimizer's formula asks for it (adamw)."""
NEW_SUFFIX = ".new"

# Private to Unicode.
_MARKS = ("\ue002", "\ue003")
_UNQUOTED = str.maketrans(dict.fromkeys(_MARKS, ""))


def quoted(name: str) -> str:
    """A name of the model's own in marks, by which no name of ours can be it."""
    return name.join(_MARKS)


def unquoted(text: str) -> str:
    """A name, or a message with names in it, without marks."""
    return text.translate(_UNQUOTED)


def beside(name: str, own: Collection[str]) -> str:
    """A name of ours beside those of the model's own inputs, outputs and parameters: the first free one."""
    while name in own:
        name += "~"
    return name
