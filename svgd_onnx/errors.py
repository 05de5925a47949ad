"""The one exception that means "the user can put this right", and how a command ends."""

INTERRUPTED = 130  # the exit code of a program that SIGINT ended


class UserError(Exception):
    """A mistake in what the user gave: a file, an option, data, an environment.

    The message is one sentence that says what is wrong, where, and what to do about it. The command
    line prints it and exits with code 2; every other exception is a bug of this package.
    """


_LONGEST = 200


def first_line(error: BaseException) -> str:
    """What another library says went wrong, short enough to stand in a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= _LONGEST else f"{lines[0][:_LONGEST]}…"
