"""Settings of operators that read or write at places that another input says."""

from __future__ import annotations

import numpy as np
from case import Case, case, fixed, given, real

# rows, then columns, some of them twice and some from the end
PLACES = np.array([[0, 2, 1], [2, -3, 2]])
POINTS = np.array([[[0, 1], [2, -1]], [[0, 1], [1, 0]]])


def scatter(reduction: str, **more: object) -> dict[str, Case]:
    """Sixteen updates to twelve places; none may be said twice where they overwrite."""
    once = reduction == "none"
    elements = given([[0, 2, 1], [2, 0, -1]] if once else [[0, 2, 1], [0, -3, 2]])
    points = given([[[0, 1], [2, -1]], [[0, 0], [1, 0]]] if once else POINTS)
    return {
        f"ScatterElements {reduction}": case(
            "ScatterElements", real(3, 3), elements, real(2, 3), reduction=reduction
        ),
        f"ScatterElements {reduction} of columns": case(
            "ScatterElements", real(2, 4, 2), given(np.array([[[1], [3]], [[0], [2]]])),
            real(2, 2, 1), axis=1, reduction=reduction, open=True,
        ),
        f"ScatterND {reduction}": case(
            "ScatterND", real(3, 4), points, real(2, 2), reduction=reduction
        ),
        f"ScatterND {reduction} of rows": case(
            "ScatterND", real(3, 4, 2), given([[0], [-1]] if once else [[0], [-3]]), real(2, 4, 2),
            reduction=reduction, open=True,
        ),
    }  # fmt: skip


SCATTERING: dict[str, Case] = {
    "Compress": case("Compress", real(2, 3), given(np.array([True, False, True])), axis=1),
    "Compress of all": case("Compress", real(2, 3), np.array([False, True, False, True]), open=True),
    "Gather": case("Gather", real(3, 4), given(PLACES)),
    "Gather of columns": case("Gather", real(2, 3, 4), given(fixed(1, -1)), axis=1, open=True),
    "Gather of one": case("Gather", real(3, 4), np.array(1), axis=-1),
    "GatherElements": case("GatherElements", real(3, 3), given(PLACES)),
    "GatherElements of columns": case(
        "GatherElements", real(2, 3), given(PLACES), axis=-1, open=True
    ),
    "GatherND": case("GatherND", real(3, 4), given(POINTS)),
    "GatherND of rows": case("GatherND", real(3, 4, 2), given(fixed(2, 0, 2)[:, None])),
    "GatherND of examples": case(
        "GatherND", real(2, 3, 2, 2), given(np.array([[[0, 1], [2, 0]], [[0, 1], [0, -1]]])),
        batch_dims=1,
    ),
    "GatherND of examples of examples": case(
        "GatherND", real(2, 2, 3), given(np.array([[[0], [1]], [[2], [-1]]])), batch_dims=2
    ),
    "MaxUnpool": case(
        "MaxUnpool", real(1, 2, 2, 2), given([[[[0, 3], [8, 15]], [[17, 22], [24, 30]]]]),
        kernel_shape=[2, 2], strides=[2, 2],
    ),
    "OneHot": case("OneHot", given([1, -1, 7]), np.array(4), real(2)),
    "OneHot of the first axis": case("OneHot", given([[1, 0]]), np.array(3), real(2), axis=0),
    **scatter("none"),
    **scatter("add"),
    **scatter("mul"),
    **scatter("max"),
    **scatter("min"),
    "ScatterElements mul of zeros": case(
        "ScatterElements", given([1.0, 0, 2, 3]), given([0, 0, 1, 2, 2, 3]),
        given([0.0, 3, 2, 0, 0, 4]), reduction="mul",
    ),
    "TensorScatter": case("TensorScatter", real(2, 3, 5, 2), real(2, 3, 2, 2), given([3, 0]), opset=24),
    "TensorScatter, circular": case(
        "TensorScatter", real(2, 5, 2), real(2, 3, 2), given([4, 2]), axis=1, mode="circular", opset=24
    ),
    "TopK": case("TopK", real(3, 5), fixed(2), outputs=2),
    "TopK, smallest": case("TopK", real(5, 3), fixed(2), outputs=2, axis=0, largest=0, open=True),
    "Unique": case("Unique", real(5)),
    "Unique rows": case("Unique", real(3, 2), axis=0, sorted=0),
}  # fmt: skip
