"""Settings of operators that are differentiated as the functions that the standard says they are."""

from __future__ import annotations

import numpy as np
from case import Case, case, fixed, given, real

MASK = np.array([[True, True, False], [True, False, True]])
ROW_MASKED = np.array([[True, False, True], [False, False, False]])
NOT_THE_FIRST = np.array([[False, True, True], [True, False, True], [True, True, True]])
FUNCTIONS: dict[str, Case] = {
    "Attention": case("Attention", real(1, 2, 2, 4), real(1, 2, 3, 4), real(1, 2, 3, 4), opset=23),
    "Attention, causal and capped": case(
        "Attention", real(1, 2, 3, 4), real(1, 2, 3, 4), real(1, 2, 3, 4), is_causal=1, softcap=2.0,
        opset=24,
    ),
    "Attention of three axes, grouped and masked": case(
        "Attention", real(1, 2, 8), real(1, 3, 4), real(1, 3, 4), given(MASK), q_num_heads=4,
        kv_num_heads=2, scale=0.3, opset=25,
    ),
    "Attention by a bias, with a past": case(
        "Attention", real(1, 2, 2, 4), real(1, 2, 3, 4), real(1, 2, 3, 4), real(2, 5),
        real(1, 2, 2, 4), real(1, 2, 2, 4), outputs=4, read=(0, 1, 2, 3), opset=23,
    ),
    "Attention, a row masked throughout": case(
        "Attention", real(1, 2, 2, 4), real(1, 2, 3, 4), real(1, 2, 3, 4), given(ROW_MASKED), opset=24
    ),
    "Attention, a row masked by cause and mask, in float64": case(
        "Attention", real(1, 2, 3, 4), real(1, 2, 3, 4), real(1, 2, 3, 4), given(NOT_THE_FIRST),
        is_causal=1, softmax_precision=11, opset=25, runs=False,
    ),
    "Attention of a usual size": case(
        "Attention", real(2, 4, 32, 16), real(2, 2, 32, 16), real(2, 2, 32, 16), is_causal=1,
        softcap=20.0, opset=24,
    ),
    "SwiGLU": case("SwiGLU", real(2, 3), real(2, 3), alpha=1.3, opset=28),
    "CausalConvWithState": case(
        "CausalConvWithState", real(2, 3, 5), real(3, 1, 3), real(3), opset=27, outputs=2, read=(0, 1),
    ),
    "RotaryEmbedding": case(
        "RotaryEmbedding", real(2, 2, 3, 4), real(5, 2), real(5, 2),
        given(fixed(0, 1, 4, 2, 2, 0).reshape(2, 3)),
        opset=23,
    ),
    "RotaryEmbedding, interleaved and partly": case(
        "RotaryEmbedding", real(1, 3, 12), real(1, 3, 2), real(1, 3, 2), num_heads=2, interleaved=1,
        rotary_embedding_dim=4, opset=24,
    ),
}  # fmt: skip
