"""`svgd-onnx`, which is also `python -m svgd_onnx`: it listens to signals before it imports the rest."""

from svgd_onnx import signals

signals.listen()


def main() -> None:
    """Runs the command line."""
    try:
        from svgd_onnx import cli

        cli.main()
    finally:
        signals.done()


if __name__ == "__main__":
    main()
