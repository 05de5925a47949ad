"""What the update of parameters keeps beside them."""

from __future__ import annotations

from svgd_onnx.manifest import Manifest
from svgd_onnx.transforms.optimizers import OPTIMIZERS


def update_bytes(manifest: Manifest) -> int:
    """Bytes of the tensors that an update keeps for parameters: the optimizer's, averages, gradients so far.

    Of the training session's own optimizers, and in folders of older versions, states are not listed.
    """
    optimizer = OPTIMIZERS[manifest.update]
    listed = [each for each in manifest.states if each.parameter is not None]
    kept = sum(each.nbytes for each in listed)
    if optimizer.state_names & {each.state for each in listed}:
        return kept
    shapes = [each.shape for each in manifest.parameters if each.trainable]
    return kept + 4 * sum(map(optimizer.state_size, shapes))
