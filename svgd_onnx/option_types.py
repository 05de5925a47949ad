"""Types of options beside those of Python: texts that --config also takes as numbers or lists.

On the command line each is a text as it stands; what an option is declared with says how it may be written in
a file.
"""

from __future__ import annotations


def text_or_numbers(text: str) -> str:
    """A text that may be a number, or numbers with commas between."""
    return text


def text_of_parts(text: str) -> str:
    """A text whose parts have commas between."""
    return text
