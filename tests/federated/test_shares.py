"""One set of data, dealt out to simulated clients."""

from __future__ import annotations

import numpy as np
import pytest

from svgd_onnx.errors import UserError
from svgd_onnx.federated import own_share, rows_of_clients

LABELS = np.random.default_rng(0).integers(0, 10, 503)


@pytest.mark.parametrize("classes_per_client", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("clients", [10, 13])
def test_each_row_is_somebodys(clients: int, classes_per_client: int) -> None:
    rows = rows_of_clients(LABELS, clients, classes_per_client=classes_per_client)
    assert len(rows) == clients
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(len(LABELS)))
    if classes_per_client:
        assert {len(np.unique(LABELS[each])) for each in rows} == {classes_per_client}


def test_at_random_all_have_as_many() -> None:
    sizes = {len(each) for each in rows_of_clients(LABELS, 10)}
    assert sizes <= {50, 51}


def test_the_seed_decides() -> None:
    first, again, other = (rows_of_clients(LABELS, 4, seed=seed) for seed in (0, 0, 1))
    assert all(map(np.array_equal, first, again)) and not all(map(np.array_equal, first, other))


def test_own_share_is_of_all_arrays() -> None:
    arrays = {"x": np.arange(503), "labels": LABELS}
    for client, rows in enumerate(rows_of_clients(LABELS, 10, classes_per_client=2)):
        share = own_share(arrays, client, 10, classes_per_client=2)
        np.testing.assert_array_equal(share["x"], rows)
        np.testing.assert_array_equal(share["labels"], LABELS[rows])


@pytest.mark.parametrize(
    ("clients", "classes_per_client", "sentence"),
    [
        (0, 0, "cannot be dealt out to 0 clients"),
        (504, 0, "cannot be dealt out to 504 clients"),
        (4, 2, "give each between 3 and 10"),
        (4, 11, "give each between 3 and 10"),
    ],
)
def test_what_cannot_be_dealt_out(clients: int, classes_per_client: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        rows_of_clients(LABELS, clients, classes_per_client=classes_per_client)


def test_a_share_of_nobody_and_of_nothing() -> None:
    with pytest.raises(UserError, match="no client 4 among 4"):
        own_share({"labels": LABELS}, 4, 4)
    with pytest.raises(UserError, match="has no 'labels'"):
        own_share({"x": LABELS}, 0, 4)
