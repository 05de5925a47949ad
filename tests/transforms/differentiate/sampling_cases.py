"""Settings of operators that sample images, and of Fourier transforms."""

from __future__ import annotations

import numpy as np
from case import Case, case, fixed, given, real


def sampled(mode: str, padding: str, corners: int) -> dict[str, Case]:
    grid = real(2, 3, 2, 2, low=-1.9, high=1.9)
    name = f"GridSample {mode} {padding} {'corners' if corners else 'sides'}"
    options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    cases = {name: case("GridSample", real(2, 3, 4, 5), grid, **options)}
    if mode != "cubic":
        space = real(1, 2, 2, 1, 3, low=-1.9, high=1.9)
        cases[f"{name} of three axes"] = case("GridSample", real(1, 2, 3, 2, 4), space, **options)
    return cases


GRIDS: dict[str, Case] = {
    "AffineGrid": case("AffineGrid", real(2, 2, 3), fixed(2, 3, 4, 5)),
    "AffineGrid of corners": case("AffineGrid", real(1, 2, 3), fixed(1, 1, 2, 3), align_corners=1),
    "AffineGrid of three axes": case("AffineGrid", real(1, 3, 4), given(fixed(1, 1, 2, 3, 2))),
    **{
        name: each
        for mode in ("linear", "nearest", "cubic")
        for padding in ("zeros", "border", "reflection")
        for corners in (0, 1)
        for name, each in sampled(mode, padding, corners).items()
    },
    "GridSample, opset 16, open": case(
        "GridSample", real(2, 3, 4, 5), real(2, 3, 2, 2, low=-1.9, high=1.9), mode="bilinear",
        opset=17, open=True,
    ),
    "GridSample bicubic, opset 16": case(
        "GridSample", real(1, 1, 4, 5), real(1, 3, 2, 2, low=-1.9, high=1.9), mode="bicubic", opset=17
    ),
    "GridSample of one pixel": case(
        "GridSample", real(1, 1, 1, 1), real(1, 2, 2, 2), padding_mode="reflection", align_corners=1
    ),
}  # fmt: skip

REGIONS = given(np.array([[0.3, 0.2, 5.1, 4.3], [2, 1, 3.5, 3.2], [-3, -2, 9, 9]]), varied=False)
IMAGES = given(np.array([0, 1, 0]))
ROI: dict[str, Case] = {
    "RoiAlign": case(
        "RoiAlign", real(2, 2, 5, 6), REGIONS, IMAGES, sampling_ratio=2, output_height=2, output_width=3
    ),
    "RoiAlign, open": case(
        "RoiAlign", real(2, 2, 5, 6), REGIONS, IMAGES, sampling_ratio=1, output_height=2, output_width=2,
        spatial_scale=0.5, open=True,
    ),
    "RoiAlign, whole pixels": case(
        "RoiAlign", real(2, 1, 5, 6), REGIONS, IMAGES, sampling_ratio=2, output_height=2, output_width=3,
        coordinate_transformation_mode="output_half_pixel",
    ),
    "RoiAlign of maxima": case(
        "RoiAlign", real(2, 2, 5, 6), REGIONS, IMAGES, mode="max", sampling_ratio=2, output_height=2,
        output_width=3,
    ),
    "RoiAlign of maxima, as many samples as it takes": case(
        "RoiAlign", real(2, 2, 5, 6), REGIONS, IMAGES, mode="max", output_height=3, output_width=2,
        open=True,
    ),
    "RoiAlign, as many samples as it takes": case(
        "RoiAlign", real(2, 2, 5, 6), REGIONS, IMAGES, output_height=2, output_width=3,
    ),
}  # fmt: skip


def transformed(name: str, *inputs: object, opset: int = 20, **more: object) -> dict[str, Case]:
    """The same at opset 20, where the axis is an input, and 17, where it is an attribute."""
    return {f"DFT {name}": case("DFT", *inputs, opset=opset, **more)}


SPECTRA: dict[str, Case] = {
    **transformed("of reals", real(2, 5, 1)),
    **transformed("of complexes", real(2, 6, 2), open=(0, 1)),
    **transformed("inverse", real(2, 5, 2), inverse=1),
    **transformed("of another axis", real(3, 4, 2), None, np.array(0)),
    **transformed("one-sided", real(2, 6, 1), onesided=1),
    **transformed("one-sided, odd", real(2, 5, 1), onesided=1),
    **transformed("longer", real(2, 4, 1), np.array(7)),
    **transformed("longer, one-sided", real(2, 4, 1), np.array(6), onesided=1),
    **transformed("shorter", real(2, 6, 2), np.array(4), inverse=1),
    **transformed("to reals", real(2, 4, 2), onesided=1, inverse=1, runs=False),
    **transformed(
        "to an odd number of reals", real(2, 3, 2), np.array(5), onesided=1, inverse=1, runs=False
    ),
    **transformed("opset 17", real(2, 5, 3, 1), opset=17, axis=2, onesided=1),
    "STFT": case("STFT", real(2, 10, 1), np.array(3), real(4)),
    "STFT, said to be one-sided": case("STFT", real(2, 10, 1), np.array(3), real(4), onesided=1),
    "STFT without window": case("STFT", real(1, 9, 1), np.array(2), None, np.array(4), open=(0, 1)),
    "STFT of complexes": case("STFT", real(1, 9, 2), np.array(2), real(3), onesided=0, opset=17),
}
DEFORMED: dict[str, Case] = {
    "DeformConv": case("DeformConv", real(1, 2, 4, 5), real(3, 2, 2, 2), real(1, 8, 3, 4), real(3)),
    "DeformConv in groups, masked": case(
        "DeformConv", real(2, 4, 5, 5), real(6, 2, 3, 2), real(2, 24, 3, 2), None, real(2, 12, 3, 2),
        group=2, offset_group=2, strides=[2, 2], pads=[1, 0, 1, 0], dilations=[1, 2], opset=19,
    ),
}  # fmt: skip
SAMPLING: dict[str, Case] = {**DEFORMED, **GRIDS, **ROI, **SPECTRA}
