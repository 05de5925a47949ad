"""Text as it may be shown: names and messages come from files, and a terminal obeys what is in them."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Text on one line, of characters that only look like something.

    Others are written as Python writes them in a string: escape codes (``\x1b``), line ends (``\n``), marks
    that turn the direction of writing (``\u202e``), halves of a character (``\udc80``), what no font has.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
