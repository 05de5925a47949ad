"""One set of data as many clients would have it, for simulations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from svgd_onnx.argument_types import whole_number
from svgd_onnx.errors import UserError
from svgd_onnx.training.given_array import given_array
from svgd_onnx.training.start import check_seed


def rows_of_clients(
    labels: np.ndarray, clients: int, *, classes_per_client: int = 0, seed: int = 0
) -> list[np.ndarray]:
    """Which rows of some data each client has: at random, or those of a few classes.

    Each row belongs to one client. By classes, client k has the c classes from place k * c on in a random order
    that begins anew at its end, and a class is dealt out evenly to those that have it.

    Args:
        labels: (N), a class of each row.
        clients: how many.
        classes_per_client: c; 0 for all classes, rows dealt out at random (IID).
        seed: of the order.

    Returns:
        For each client its rows, int64, in rising order.

    Raises:
        UserError: there are fewer rows than clients, or classes that nobody would have.
    """
    random = np.random.default_rng(check_seed(seed))
    labels = given_array(labels, "The labels")
    clients = whole_number("clients", clients)
    classes_per_client = whole_number("classes_per_client", classes_per_client)
    if clients < 1 or clients > len(labels):
        raise UserError(f"{len(labels)} examples cannot be dealt out to {clients} clients.")
    if not classes_per_client:
        return [np.sort(rows) for rows in np.array_split(random.permutation(len(labels)), clients)]
    classes = random.permutation(np.unique(labels))
    count = len(classes)
    if not count <= clients * classes_per_client or classes_per_client > count:
        raise UserError(
            f"{clients} clients of {classes_per_client} classes each are not {count} classes: give each "
            f"between {-(-count // clients)} and {count}."
        )
    rows: list[list[np.ndarray]] = [[] for _ in range(clients)]
    for place, each in enumerate(classes):
        holders = [
            client
            for client in range(clients)
            if (place - client * classes_per_client) % count < classes_per_client
        ]
        of_class = random.permutation(np.flatnonzero(labels == each))
        for client, part in zip(holders, np.array_split(of_class, len(holders))):
            rows[client].append(part)
    return [np.sort(np.concatenate(parts)) for parts in rows]


def own_share(
    arrays: Mapping[str, np.ndarray],
    partition: int,
    clients: int,
    *,
    label: str = "labels",
    classes_per_client: int = 0,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The rows of one simulated client, as `rows_of_clients` deals them out.

    Args:
        arrays: by name, with examples along the first axis.
        partition: the client's number, from 0.
        clients: how many there are.
        label: the array of classes.
        classes_per_client: see there.
        seed: see there; the same for all clients.

    Raises:
        UserError: as there, there is no such client, or no array of that name.
    """
    if label not in arrays:
        raise UserError(f"The data has no '{label}' to deal it out by: name the array of classes.")
    if not 0 <= partition < clients:
        raise UserError(f"There is no client {partition} among {clients}: they count from 0.")
    labels = np.asarray(arrays[label])
    rows = rows_of_clients(labels, clients, classes_per_client=classes_per_client, seed=seed)
    return {name: array[rows[partition]] for name, array in arrays.items()}
