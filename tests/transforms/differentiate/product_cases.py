"""Settings of products of matrices and tensors, and of Resize, which is a product."""

from __future__ import annotations

import numpy as np
from case import Case, case, fixed, given, real

MATRICES: dict[str, Case] = {
    "Det": case("Det", real(3, 3)),
    "Det of several": case("Det", real(2, 3, 4, 4)),
    "Det of a singular one": case("Det", given([[1.0, 2], [2, 4]])),
    "Det of a number": case("Det", real(2, 1, 1)),
    "Gemm": case("Gemm", real(2, 3), real(3, 4), real(4), alpha=0.5, beta=2.0),
    "Gemm, transposed": case("Gemm", real(3, 2), real(4, 3), real(2, 1), transA=1, transB=1),
    "Gemm of no shift": case("Gemm", real(3, 2), real(3, 4), transA=1, open=True),
    "Gemm of a number": case("Gemm", real(2, 3), real(4, 3), real(), transB=1, open=True),
    "MatMul": case("MatMul", real(2, 3), real(3, 4)),
    "MatMul of batches": case("MatMul", real(2, 3, 4), real(4, 5)),
    "MatMul of batches, repeated": case("MatMul", real(2, 1, 3, 4), real(5, 4, 2), open=True),
    "MatMul of a matrix and batches": case("MatMul", real(3, 4), real(2, 4, 5)),
    "MatMul of a vector": case("MatMul", real(4), real(4, 3)),
    "MatMul by a vector": case("MatMul", real(2, 3, 4), real(4)),
    "MatMul of two vectors": case("MatMul", real(4), real(4)),
    "MatMul of a vector and batches": case("MatMul", real(4), real(2, 4, 3), open=True),
}


def product(equation: str, *shapes: tuple[int, ...], **more: bool) -> dict[str, Case]:
    inputs = [real(*shape) for shape in shapes]
    return {f"Einsum {equation}": case("Einsum", *inputs, equation=equation, **more)}


PRODUCTS: dict[str, Case] = {
    **MATRICES,
    **product("ij,jk->ik", (2, 3), (3, 4)),
    **product("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4), open=True),
    **product("ij,jk", (2, 3), (3, 4)),
    **product("i,j->ij", (2,), (3,)),
    **product("ij->ji", (2, 3)),
    **product("ij->j", (2, 3), open=True),
    **product("ij->", (2, 3)),
    **product("ii->i", (3, 3)),
    **product("iij->j", (3, 3, 2), open=True),
    **product("ij,ij->i", (2, 3), (2, 3)),
    **product("ij,ij->", (2, 3), (2, 3), open=True),
    **product("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    **product("...ij,...jk->...ik", (2, 3, 4), (2, 4, 2)),
    **product("...ij,jk->...ik", (2, 5, 3, 4), (4, 2), open=True),
    **product("...ij,...j->...i", (2, 1, 3, 4), (5, 4), runs=False),
    **product("b...,b->...", (2, 3), (2,)),
    "DequantizeLinear": case(
        "DequantizeLinear", given(np.array([[1, 2, 3], [4, 5, 250]], np.uint8)), real(), np.array(128, np.uint8)
    ),
    "DequantizeLinear of channels": case(
        "DequantizeLinear", given(np.arange(12, dtype=np.int8).reshape(2, 3, 2)), real(3),
        np.array([0, 1, -3], np.int8), opset=19,
    ),
    "DequantizeLinear of blocks": case(
        "DequantizeLinear", given(np.arange(10, dtype=np.int8).reshape(2, 5)), real(2, 2), block_size=3,
    ),
}  # fmt: skip

BY = np.array([1, 1, 2, 1.6], np.float32)
RESIZE: dict[str, Case] = {
    "Resize repeating": case(
        "Resize", real(1, 2, 3, 4), None, np.array([1, 1, 2, 3], np.float32),
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    ),
    "Resize repeating, open": case(
        "Resize", real(1, 2, 3, 4), None, np.array([1, 1, 2, 3], np.float32), open=True
    ),
    "Resize nearest": case("Resize", real(1, 2, 4, 5), None, BY, nearest_mode="ceil"),
    "Resize nearest, smaller": case(
        "Resize", real(1, 2, 5, 5), None, np.array([1, 1, 0.6, 0.8], np.float32), opset=17,
        coordinate_transformation_mode="align_corners", nearest_mode="round_prefer_ceil",
    ),
    "Resize linear": case("Resize", real(1, 2, 4, 5), None, BY, mode="linear"),
    "Resize linear, open": case("Resize", real(1, 2, 4, 5), None, BY, mode="linear", open=True),
    "Resize linear to a size": case(
        "Resize", real(1, 2, 4, 5), None, None, fixed(1, 2, 3, 8), mode="linear",
        coordinate_transformation_mode="pytorch_half_pixel",
    ),
    "Resize linear to a fed size": case(
        "Resize", real(1, 2, 4, 5), None, None, given(fixed(1, 2, 7, 3)), mode="linear", open=True,
        coordinate_transformation_mode="align_corners",
    ),
    "Resize linear, against aliases": case(
        "Resize", real(1, 1, 6, 7), None, np.array([1, 1, 0.5, 0.6], np.float32), mode="linear", antialias=1
    ),
    "Resize cubic": case("Resize", real(1, 2, 4, 5), None, BY, mode="cubic"),
    "Resize cubic, outside excluded": case(
        "Resize", real(1, 1, 4, 5), None, BY, mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5
    ),
    "Resize cubic, against aliases": case(
        "Resize", real(1, 1, 6, 7), None, np.array([1, 1, 0.5, 0.6], np.float32), mode="cubic", antialias=1
    ),
    "Resize of three axes": case(
        "Resize", real(1, 1, 2, 3, 2), None, np.array([1, 1, 2, 1.5, 2], np.float32), mode="linear"
    ),
    "Resize of some axes": case(
        "Resize", real(1, 2, 4, 5), None, np.array([1.6, 2], np.float32), mode="linear", axes=[3, 2]
    ),
    "Resize of examples": case("Resize", real(3, 4), None, np.array([2, 1.5], np.float32), mode="linear"),
    "Resize of channels": case("Resize", real(1, 4, 2, 3), None, np.array([1, 1.5, 1, 1], np.float32)),
    "Resize, not larger": case(
        "Resize", real(1, 1, 4, 6), None, None, fixed(6, 12), mode="linear", axes=[2, 3],
        keep_aspect_ratio_policy="not_larger",
    ),
    "Resize, not larger and rounded": case(
        "Resize", real(2, 1, 4, 6), None, None, fixed(7, 7), mode="linear", axes=[2, 3],
        keep_aspect_ratio_policy="not_larger", open=(0,),
    ),
    "Resize, not smaller and rounded": case(
        "Resize", real(1, 2, 5, 3), None, None, fixed(4, 3), axes=[2, 3],
        keep_aspect_ratio_policy="not_smaller",
    ),
    "Resize cropping": case(
        "Resize", real(1, 1, 4, 5), np.array([0, 0, 0.2, 0.1, 1, 1, 0.7, 1.3], np.float32), None,
        fixed(1, 1, 3, 4), mode="linear", coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=2.0,
    ),
}  # fmt: skip
