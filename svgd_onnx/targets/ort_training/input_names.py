"""What models of the training session call their inputs of data."""

from __future__ import annotations

from collections.abc import Collection

from svgd_onnx.step_names import beside

# An input of such a name is a gradient to the session, whatever it is.
_OF_GRADIENTS = "_grad"


def input_name(name: str, own: Collection[str]) -> str:
    """The name of an input of data in the training and the evaluation model; both are fed by places.

    Args:
        name: what the model's file calls it.
        own: the names of the model's inputs, outputs and parameters.
    """
    return beside(f"{name}.input", own) if name.endswith(_OF_GRADIENTS) else name
