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
LOSS_SCALE = "svgd.loss_scale"
"""What the loss's gradient is multiplied by, of a step that computes in float16 and changes it (float32)."""
GOOD_STEPS = "svgd.loss_scale.good_steps"
"""Steps in a row whose gradients were finite, since that last changed (float32)."""
LEFT_OUT = "svgd.loss_scale.left_out"
"""Steps whose gradients were not, and which changed nothing else (float32)."""
NEW_SUFFIX = ".new"
GRADIENT_NORMS = "svgd.gradient_norms"
"""Output of a step that was asked for it: the norm of each trainable parameter's gradient, float32."""
VIRTUAL_GRADIENT_NORMS = "svgd.virtual_gradient_norms"
"""The same of virtual gradients, where there is a T."""

SHARE = "svgd.share"
"""Input of a step in pieces, float32 scalar: what the loss of a rank's examples counts in that of all."""
SUM, MEAN, EXAMPLES, LOSS_SHARE = "sum", "mean", "examples", "loss"
"""What a tensor of each of K ranks counts where they are added up over all: 1, 1/K, K, and the rank's share."""
RESIDUAL = "svgd.residual."
"""Begins the name of a tensor of the checkpoint that is what float16 has left of a sum over ranks."""
PIECE = "svgd.piece"
"""Metadata of each piece of a step: what of its outputs is reduced, and what is kept, as JSON."""
IN_PLACE = "svgd.in_place"
"""Metadata of a step: the inputs that may be given as the memory of what they become, as JSON."""

# Private to Unicode; those of options are in errors.
_FIRST_MARK, _LAST_MARK = "\ue000", "\ue004"
_MARKS = ("\ue002", "\ue003")
_UNQUOTED = str.maketrans(dict.fromkeys(_MARKS, ""))


def quoted(name: str) -> str:
    """A name of the model's own in marks, by which no name of ours can be it."""
    return name.join(_MARKS)


def is_quoted(name: str) -> bool:
    """Whether a whole name stands in marks; those of ours that are made of it end behind them."""
    return name.startswith(_MARKS[0]) and name.endswith(_MARKS[1])


def has_marks(name: str) -> bool:
    """Whether a name of a file has characters that mark names, or options in messages."""
    return not name.isascii() and any(_FIRST_MARK <= each <= _LAST_MARK for each in name)


def unquoted(text: str) -> str:
    """A name, or a message with names in it, without marks."""
    return text.translate(_UNQUOTED)


def beside(name: str, own: Collection[str]) -> str:
    """A name of ours beside those of the model's own inputs, outputs and parameters: the first free one."""
    while name in own:
        name += "~"
    return name
