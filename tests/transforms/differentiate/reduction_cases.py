"""Settings of reductions."""

from __future__ import annotations

import numpy as np
from case import Case, case, fixed, given, real

ZEROS = np.array([[[2, 0, 1.5], [3, 0.5, 0]], [[0, 0, 2], [1, -1, 3]]])


def reduction(op_type: str) -> dict[str, Case]:
    x = real(2, 3, 4, low=0.5, high=2)
    cases = {
        op_type: case(op_type, x, fixed(1)),
        f"{op_type} of all": case(op_type, x, keepdims=0),
        f"{op_type} of two": case(op_type, x, fixed(-1, 0), keepdims=0, open=True),
        f"{op_type} of a vector": case(op_type, real(5, low=0.5, high=2), fixed(0)),
    }
    if op_type != "ReduceSum":
        cases[f"{op_type}, opset 17"] = case(op_type, x, axes=[0, 2], keepdims=0, opset=17)
    return cases


REDUCTIONS: dict[str, Case] = {
    **reduction("ReduceL1"),
    **reduction("ReduceL2"),
    **reduction("ReduceLogSum"),
    **reduction("ReduceLogSumExp"),
    **reduction("ReduceMax"),
    **reduction("ReduceMean"),
    **reduction("ReduceMin"),
    **reduction("ReduceProd"),
    **reduction("ReduceSum"),
    **reduction("ReduceSumSquare"),
    "ReduceProd of zeros": case("ReduceProd", given(ZEROS), fixed(2)),
    "ReduceProd of zeros in two axes": case("ReduceProd", given(ZEROS), fixed(0, 1), keepdims=0),
    "ReduceMean, axes fed": case("ReduceMean", real(2, 3), given(fixed(1)), open=True),
    "ReduceSum, axes fed": case("ReduceSum", real(2, 3), given(fixed(0)), open=True),
    "ReduceSum of nothing": case(
        "ReduceSum", real(2, 3), np.zeros(0, np.int64), noop_with_empty_axes=1
    ),
    "GlobalAveragePool": case("GlobalAveragePool", real(2, 3, 4, 5)),
    "GlobalAveragePool, open": case("GlobalAveragePool", real(2, 3, 4), open=True),
    "GlobalMaxPool": case("GlobalMaxPool", real(2, 3, 4, 5), open=True),
    "GlobalMaxPool of three axes": case("GlobalMaxPool", real(1, 2, 2, 3, 2)),
}
