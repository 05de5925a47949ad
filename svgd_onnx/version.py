"""The version of this package; pyproject.toml says it too, and a test that both agree."""

__version__ = "0.1.0"
