"""Fixtures of the tests of commands."""

from commands.command_line import data, folder, model, run

__all__ = ["data", "folder", "model", "run"]
