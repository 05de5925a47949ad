"""Flower, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError

ARRAYS, CONFIG, METRICS = "arrays", "config", "metrics"
"""The records of a message, as Flower's own strategies call them."""
EXAMPLES = "num-examples"
"""The metric by which they weigh."""
PROXIMAL_MU = "proximal-mu"
"""What FedProx tells clients."""


def require_flower() -> None:
    """Refuses an environment without Flower.

    Raises:
        UserError: says how to install it.
    """
    try:
        import flwr.app  # noqa: F401
    except ImportError as error:
        raise UserError(
            "Federated training needs Flower from 1.24 on: pip install " "'svgd-onnx[federated]'."
        ) from error


def record_of(arrays: Mapping[str, np.ndarray]) -> Any:
    """Arrays by name as a record of a message."""
    from flwr.app import Array, ArrayRecord

    return ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()})


def arrays_of(record: Any) -> dict[str, np.ndarray]:
    """Undoes `record_of`."""
    return {name: array.numpy() for name, array in record.items()}
