"""The version of this package; its metadata is made from this file."""

__version__ = "0.1.0"
