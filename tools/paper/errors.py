"""How a command of this folder ends that cannot go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from svgd_onnx.errors import INTERRUPTED, UserError
from tools.paper.experiment import DataError


@contextmanager
def told_in_a_sentence(interrupted: str = "Interrupted.") -> Iterator[None]:
    """Ends the program with a sentence on stderr: a user's error with exit code 2, Ctrl-C with 130.

    Args:
        interrupted: what to say after Ctrl-C.
    """
    try:
        yield
    except (DataError, UserError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        sys.exit(INTERRUPTED)
