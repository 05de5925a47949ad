"""The one exception that means "the user can put this right"."""


class UserError(Exception):
    """A mistake in what the user gave: a file, an option, data, an environment.

    The message is one sentence that says what is wrong, where, and what to do about it. The command
    line prints it and exits with code 2; every other exception is a bug of this package.
    """
