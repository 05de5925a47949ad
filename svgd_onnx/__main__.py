"""`svgd-onnx`, which is also `python -m svgd_onnx`: it listens to signals before it imports the rest."""

import gc

from svgd_onnx import signals, standard_streams

standard_streams.open_closed_ones()
signals.listen()


def main() -> None:
    """Runs the command line.

    Cyclic garbage goes with the process. What may take days, training and evaluation, turns its collection on.
    """
    gc.disable()
    try:
        from svgd_onnx import cli

        cli.main()
    finally:
        signals.done()
        gc.freeze()


if __name__ == "__main__":
    main()
