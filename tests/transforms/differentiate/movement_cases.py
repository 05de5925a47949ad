"""Settings of operators that move elements."""

from __future__ import annotations

import numpy as np
from case import Case, case, fixed, given, real

MOVEMENT: dict[str, Case] = {
    "CenterCropPad": case("CenterCropPad", real(2, 3, 7), fixed(5, 5), axes=[1, 2]),
    "Concat": case("Concat", real(2, 3), real(2, 1), axis=-1),
    "Concat, open": case("Concat", real(2, 3), real(1, 3), axis=0, open=True),
    "Concat of one": case("Concat", real(2, 3), axis=0),
    "CumSum": case("CumSum", real(2, 4), np.array(1)),
    "CumSum, exclusive and reverse": case(
        "CumSum", real(2, 4), np.array(0), exclusive=1, reverse=1
    ),
    "SpaceToDepth, channels first": case(
        "SpaceToDepth", real(2, 3, 4, 6), blocksize=2, mode="CRD", opset=28, open=(0, 2, 3)
    ),
    "CumProd": case("CumProd", real(2, 4), np.array(-1), opset=26),
    "CumProd of zeros": case(
        "CumProd", given([[1.0, 0, 2, 3], [0, 0, 3, 1], [2, 3, 1, 0]]), np.array(1), opset=26
    ),
    "CumProd, exclusive": case("CumProd", real(3, 2), np.array(0), exclusive=1, opset=26),
    "CumProd, reverse and open": case(
        "CumProd", real(2, 3, 2), np.array(1), reverse=1, open=True, opset=26
    ),
    "DepthToSpace": case("DepthToSpace", real(2, 8, 2, 3), blocksize=2),
    "DepthToSpace, columns first": case("DepthToSpace", real(2, 8, 2, 3), blocksize=2, mode="CRD"),
    "Expand": case("Expand", real(3, 1), fixed(2, 3, 4)),
    "Expand, open": case("Expand", real(3, 1), given(fixed(2, 1, 4)), open=True),
    "Flatten": case("Flatten", real(2, 3, 4), axis=2, open=True),
    "Pad": case("Pad", real(2, 3), fixed(1, 0, 2, 3)),
    "Pad, cropping": case("Pad", real(4, 5), fixed(-1, 1, 2, -2)),
    "Pad of some axes": case("Pad", real(2, 3, 4), fixed(1, 2), None, fixed(-2), open=True),
    "Pad by a value that trains": case("Pad", real(2, 3), fixed(1, 0, 2, 3), real()),
    "Pad, edge": case("Pad", real(2, 3), fixed(1, 0, 2, 3), mode="edge"),
    "Pad, edge, open": case("Pad", real(2, 3), fixed(1, 0, 2, 3), mode="edge", open=True),
    "Pad, reflect": case("Pad", real(4, 3), fixed(1, 0, 2, 2), mode="reflect"),
    "Pad, reflect, open": case(
        "Pad", real(4, 3), given(fixed(1, 0, 2, 2)), mode="reflect", open=True
    ),
    "Pad, wrap": case("Pad", real(4, 3), fixed(1, 0, 2, 2), mode="wrap"),
    "Reshape": case("Reshape", real(2, 6), fixed(0, 3, -1)),
    "Reshape, open": case("Reshape", real(2, 6), given(fixed(3, 4)), open=True),
    "Reshape of nothing": case("Reshape", real(2, 0), fixed(0, 5), allowzero=1),
    "ReverseSequence": case("ReverseSequence", real(4, 3, 2), fixed(1, 4, 2)),
    "ReverseSequence of examples": case(
        "ReverseSequence", real(3, 4), given(fixed(1, 4, 2)), batch_axis=0, time_axis=1, open=True
    ),
    "Slice": case("Slice", real(4, 5), fixed(1, 0), fixed(3, -1)),
    "Slice backwards": case("Slice", real(4, 5), fixed(-1), fixed(-6), fixed(1), fixed(-2)),
    "Slice, steps fed": case(
        "Slice", real(4, 5), fixed(0), fixed(4), fixed(1), given(fixed(2)), open=True
    ),
    "Slice, open": case(
        "Slice", real(4, 5, 2), given(fixed(1)), given(fixed(9)), fixed(1), fixed(2), open=True
    ),
    "SpaceToDepth": case("SpaceToDepth", real(2, 3, 4, 2), blocksize=2),
    "Split": case("Split", real(5, 2), fixed(2, 3), outputs=2, read=(0, 1)),
    "Split, one part read": case("Split", real(2, 6), axis=-1, num_outputs=3, outputs=3, read=(1,)),
    "Split, open": case(
        "Split", real(2, 7), axis=1, num_outputs=2, outputs=2, read=(1,), open=True
    ),
    "Split of one": case("Split", real(2, 3), num_outputs=1),
    "Squeeze": case("Squeeze", real(1, 3, 1), fixed(0), open=True),
    "Squeeze of all": case("Squeeze", real(1, 3, 1)),
    "Tile": case("Tile", real(2, 3), fixed(2, 3)),
    "Tile, open": case("Tile", real(2, 3, 1), given(fixed(1, 2, 4)), open=True),
    "Transpose": case("Transpose", real(2, 3, 4), perm=[1, 2, 0]),
    "Transpose of all": case("Transpose", real(2, 3, 4), open=True),
    "Trilu": case("Trilu", real(2, 3, 4)),
    "Trilu, lower": case("Trilu", real(3, 4), np.array(-1), upper=0, open=True),
    "Unsqueeze": case("Unsqueeze", real(2, 3), fixed(-1, 0), open=True),
}
