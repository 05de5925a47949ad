"""What the server evaluates on. It averages what clients send, and saves that with its artifacts."""

from __future__ import annotations

from typing import Any

from flwr.app import Context

import svgd_onnx
from svgd_onnx.federated import server_app


def held_out(context: Context) -> Any:
    """The run's test data; None if there are none."""
    path = context.run_config["test-data"]
    return svgd_onnx.load_data(path) if path else None


app = server_app(held_out=held_out)
