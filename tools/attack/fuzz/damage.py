"""Damage to bytes and numbers, of every kind of file."""

from __future__ import annotations

from random import Random

NUMBERS = (
    *(0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 127, 128, 255, 256, -2, -128, 1000, 65535, 65536),
    *(2**31 - 1, 2**31, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1, -(2**63)),
)
REALS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e-45,
    1e-30,
    1e30,
    3.4e38,
    float("inf"),
    float("-inf"),
    float("nan"),
)
NAMES = (
    *(
        "",
        " ",
        "x",
        "labels",
        "target",
        "[/]",
        "[red]",
        "\x1b[31m",
        "a\nb",
        "a\0b",
        "\u202e",
        "\U0001f600",
    ),
    *(
        "svgd.loss",
        "svgd.learning_rate",
        "a.new",
        "x_grad",
        "../x",
        "/",
        "\ue000",
        "n" * 1000,
        "None",
    ),
)
_MOST_CHANGES = 8


def damaged(content: bytes, draw: Random) -> bytes:
    """Bytes with some changed, taken out, put in, doubled, or cut off."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, _MOST_CHANGES)):
        if not changed:
            break
        at = draw.randrange(len(changed))
        length = draw.choice((1, 1, 1, 2, 4, 8, 32))
        how = draw.randrange(7)
        if how == 0:
            changed[at] ^= 1 << draw.randrange(8)
        elif how == 1:
            changed[at] = draw.randrange(256)
        elif how == 2:
            del changed[at : at + length]
        elif how == 3:
            changed[at:at] = draw.randbytes(length)
        elif how == 4:
            changed[at:at] = changed[at : at + length * 4]
        elif how == 5:
            changed[at : at + length] = draw.choice((b"\0", b"\xff", b"\x7f")) * length
        elif draw.random() < 0.3:
            del changed[at:]
    return bytes(changed)
