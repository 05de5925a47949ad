"""Federated training by Flower: clients train artifacts on data of their own, a server averages them.

`exchange`, `rounds` and `shares` are NumPy's alone; `client_app` and `server_app` make Flower's apps of them.
"""

from __future__ import annotations

from svgd_onnx.federated.client import client_app
from svgd_onnx.federated.device_folder import device_folder
from svgd_onnx.federated.exchange import Exchange, parameters_of, set_parameters
from svgd_onnx.federated.rounds import Round, train_round
from svgd_onnx.federated.server import server_app
from svgd_onnx.federated.shares import own_share, rows_of_clients

__all__ = [
    "Exchange",
    "Round",
    "client_app",
    "device_folder",
    "own_share",
    "parameters_of",
    "rows_of_clients",
    "server_app",
    "set_parameters",
    "train_round",
]
