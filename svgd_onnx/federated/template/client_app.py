"""What a client trains on. It trains its artifacts, and sends what became of their parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
from flwr.app import Context

import svgd_onnx
from svgd_onnx.federated import client_app, own_share


def examples(context: Context) -> Any:
    """A device's own data, by --node-config 'data="PATH"'; in a simulation a share of the run's."""
    node, run = context.node_config, context.run_config
    if "data" in node:
        return svgd_onnx.load_data(node["data"])
    with np.load(run["data"]) as arrays:
        whole = {name: arrays[name] for name in arrays.files}
    return own_share(
        whole,
        node["partition-id"],
        node["num-partitions"],
        classes_per_client=run["classes-per-client"],
        seed=run["split-seed"],
    )


app = client_app(examples)
