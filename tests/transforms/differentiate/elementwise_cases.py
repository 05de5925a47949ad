"""Settings of operators that act on each element by itself."""

from __future__ import annotations

import numpy as np
import onnx
from case import Case, case, given, real


def unary(op_type: str, low: float = -1.5, high: float = 1.5, **more: object) -> Case:
    return case(op_type, real(2, 3, low=low, high=high), **more)


def binary(op_type: str, **more: object) -> dict[str, Case]:
    a, b = real(2, 3, low=0.5), real(2, 3, low=0.5)
    return {
        op_type: case(op_type, a, b, **more),
        f"{op_type}, one repeated": case(
            op_type, real(2, 1, 3, low=0.5), real(4, 1, low=0.5), **more
        ),
        f"{op_type}, open": case(
            op_type, real(2, 1, 3, low=0.5), real(4, 1, low=0.5), open=True, **more
        ),
        f"{op_type}, a scalar": case(op_type, real(2, 3, low=0.5), real(low=0.5), **more),
    }


UNARY: dict[str, Case] = {
    "Abs": unary("Abs"),
    "Acos": unary("Acos", -0.9, 0.9),
    "Acosh": unary("Acosh", 1.1, 3),
    "Asin": unary("Asin", -0.9, 0.9),
    "Asinh": unary("Asinh"),
    "Atan": unary("Atan"),
    "Atanh": unary("Atanh", -0.9, 0.9),
    "Cos": unary("Cos"),
    "Cosh": unary("Cosh"),
    "Erf": unary("Erf"),
    "Exp": unary("Exp"),
    "Log": unary("Log", 0.5, 2),
    "Neg": unary("Neg"),
    "Reciprocal": unary("Reciprocal", 0.5, 2),
    "Sin": unary("Sin"),
    "Sinh": unary("Sinh"),
    "Sqrt": unary("Sqrt", 0.5, 2),
    "Tan": unary("Tan", -1, 1),
    "Tanh": unary("Tanh"),
    "Identity": unary("Identity"),
    "Identity of a scalar": case("Identity", real()),
}
BINARY: dict[str, Case] = {
    **binary("Add"),
    **binary("Sub"),
    **binary("Mul"),
    **binary("Div"),
    **binary("Max"),
    **binary("Min"),
    **binary("Pow"),
    **binary("Mean"),
    **binary("Sum"),
    **binary("Mod", fmod=1),
    "Mod of Python": case("Mod", real(3, 4), real(3, 4, low=0.3), fmod=0, runs=False),
    "Pow, an integer exponent": case("Pow", real(2, 3), np.array([2, 3, 0], np.int64)),
    "Pow, squared": case("Pow", real(2, 3), np.array(2, np.float32)),
    "Pow, fed integers": case("Pow", real(2, 3), given(np.array([[1], [3]]))),
    "Pow, a root": case("Pow", real(2, 3, low=0.5), np.array([0.5], np.float32)),
    "Max of three": case("Max", real(2, 3), real(3), real(2, 1)),
    "Min of one": case("Min", real(2, 3)),
    "Mean of three": case("Mean", real(2, 3), real(3), real(2, 1)),
    "Sum of three": case("Sum", real(2, 3), real(3), real(2, 1)),
    "Sum of one": case("Sum", real(2, 3)),
}


def where_of(*, open: bool) -> Case:
    condition = given(np.array([[True, False, True], [False, False, True]]))
    return case("Where", condition, real(2, 1), real(1, 3), open=open)


STEPS: dict[str, Case] = {
    op_type: unary(op_type, beside=True)
    for op_type in ("Ceil", "Floor", "Round", "Sign", "Hardmax")
}

OTHER: dict[str, Case] = {
    "Cast": unary("Cast", to=onnx.TensorProto.FLOAT),
    "CastLike": case("CastLike", real(2, 3), given([1.0], varied=False), open=True),
    "Clip": case("Clip", real(3, 4), np.array(-0.5, np.float32), np.array(0.7, np.float32)),
    "Clip, one bound": case("Clip", real(3, 4), None, np.array(0.3, np.float32)),
    "Clip, no bound": case("Clip", real(3, 4)),
    "Clip, crossed bounds that train": case(
        "Clip", real(3, 4), given(np.array(0.7)), given(np.array(-0.5))
    ),
    "Clip, bounds that train": case(
        "Clip", real(3, 4), given(np.array(-0.5)), given(np.array(0.7))
    ),
    "Range": case("Range", given(np.array(0.5)), np.array(3, np.float32), given(np.array(0.7))),
    "Where": where_of(open=False),
    "Where, open": where_of(open=True),
}
ELEMENTWISE: dict[str, Case] = {**UNARY, **BINARY, **STEPS, **OTHER}
