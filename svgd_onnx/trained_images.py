"""Whether training changed images in a way that an evaluation of the same folder does not."""

from __future__ import annotations

import warnings
from pathlib import Path

from svgd_onnx import run_config
from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.targets.artifact_files import RUN_FILE


def warn_of_other_images(folder: Path, transform: list[str]) -> None:
    """Says that training was told what happens to images, where this command is not.

    It is only said: images may be as the model takes them by now, which nobody but the user knows.

    Args:
        folder: of artifacts, whose run.toml tells of the training; there may be none.
        transform: what this command is told of images.

    Warns:
        with what training was told.
    """
    path = folder / RUN_FILE
    if transform or not path.is_file():
        return
    try:
        told = run_config.load(path).get("train", {}).get("transform", [])
    except UserError:  # whoever gives it to --config is told
        return
    listed = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    texts = [each for each in listed if isinstance(each, str)]
    if texts:
        warnings.warn(
            Advice(
                f"Training was told {option('transform', ','.join(texts))}, and here nothing happens to "
                "images: give the same, of which what is random is left out, unless they are so already."
            ),
            stacklevel=2,
        )
