"""What becomes of pictures: against what is written out by hand, in float64."""

from __future__ import annotations

import numpy as np
import pytest

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Tensor
from svgd_onnx.training.images.grammar import Transform, parse_transform
from svgd_onnx.training.images.layout import as_input, layout_of, picture
from svgd_onnx.training.images.operations import (
    CenterCrop,
    Color,
    Flip,
    Normalize,
    Operation,
    RandomCrop,
    Resize,
)

IMAGE = np.random.default_rng(5).integers(0, 256, (10, 14, 3), np.uint8)


def generator() -> np.random.Generator:
    return np.random.default_rng(3)


def test_the_grammar_reads_operations_in_their_order() -> None:
    made = parse_transform(
        ["resize=256,random-crop=32x24,pad=4", "flip, color=0.2,normalize=imagenet"]
    )
    assert made == Transform(
        (Resize(256, None), RandomCrop(32, 24, 4), Flip(), Color(0.2)),
        Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    )
    assert parse_transform("normalize=mean:0.5;std:0.25") == Transform(
        (), Normalize((0.5,), (0.25,))
    )
    assert parse_transform("") is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rotate=3", "'rotate=3', which is unknown: choose from resize"),
        ("flip,pad=4", "'pad=4', which is unknown"),
        ("resize=0", "resize takes a side such as 224"),
        ("resize=3x-1", "resize takes a side"),
        ("resize=9999999999", "resize takes a side"),
        ("random-crop=8,pad=x", "'random-crop=8,pad=x', but random-crop takes a whole number"),
        ("color=2", "color takes a number from 0 to 1"),
        ("color=nan", "color takes a number from 0 to 1"),
        ("flip=yes", "flip takes nothing"),
        ("normalize=mean:0.5", "normalize takes imagenet, or numbers"),
        ("normalize=mean:0.5;std:0", "normalize takes imagenet"),
        ("normalize=imagenet,flip", "normalize, which comes last"),
    ],
)
def test_the_grammar_refuses(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence.replace("(", r"\(")):
        parse_transform(text)


def test_a_center_crop_is_the_middle() -> None:
    np.testing.assert_array_equal(CenterCrop(4, 6)(IMAGE, None), IMAGE[3:7, 4:10])


def test_a_random_crop_is_each_part_of_the_padded_picture_alike_often() -> None:
    padded = np.zeros((14, 18, 3), np.uint8)
    padded[2:12, 2:16] = IMAGE
    parts = [padded[top : top + 10, left : left + 14] for top in range(5) for left in range(5)]
    random, counts = generator(), np.zeros(25, int)
    for _ in range(2000):
        made = RandomCrop(10, 14, 2)(IMAGE, random)
        counts[[np.array_equal(made, part) for part in parts].index(True)] += 1
    assert counts.sum() == 2000 and counts.min() > 50 and counts.max() < 120
    np.testing.assert_array_equal(RandomCrop(10, 14, 2)(IMAGE, None), IMAGE)


def test_a_flip_turns_half_of_the_pictures() -> None:
    random = generator()
    made = [Flip()(IMAGE, random) for _ in range(400)]
    turned = sum(np.array_equal(each, IMAGE[:, ::-1]) for each in made)
    assert sum(np.array_equal(each, IMAGE) for each in made) + turned == 400
    assert 160 < turned < 240
    assert Flip()(IMAGE, None) is IMAGE


def test_colors_are_blends() -> None:
    made = Color(0.4)(IMAGE, generator())
    brightness, contrast, saturation = generator().uniform(0.6, 1.4, 3)
    weights = np.array([0.299, 0.587, 0.114])
    values = np.clip(IMAGE.astype(np.float64) * brightness, 0, 255)
    values = np.clip(values * contrast + (1 - contrast) * (values @ weights).mean(), 0, 255)
    gray = (values @ weights)[:, :, None]
    values = np.clip(values * saturation + (1 - saturation) * gray, 0, 255)
    assert np.abs(made - values).max() <= 0.51
    assert Color(0.4)(IMAGE, None) is IMAGE


@pytest.mark.parametrize(("wanted", "shape"), [(5, (5, 7)), (20, (20, 28))])
def test_resize_keeps_the_ratio_of_the_sides(wanted: int, shape: tuple[int, int]) -> None:
    pytest.importorskip("PIL")
    assert Resize(wanted, None)(IMAGE, None).shape == (*shape, 3)


def test_to_half_the_size_each_pixel_is_a_mean_over_those_near_it() -> None:
    """A triangle over four pixels in each direction: 1, 3, 3, 1 of 8."""
    pytest.importorskip("PIL")
    made = Resize(5, 7)(IMAGE, None)
    window = np.array([1, 3, 3, 1]) / 8
    near = IMAGE[3:7, 3:7].astype(np.float64)
    expected = np.einsum("hwc,h,w->c", near, window, window)
    assert np.abs(made[2, 2] - expected).max() <= 1


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        (CenterCrop(11, 4), "too few to cut 11 x 4"),
        (RandomCrop(32, 32, 4), "too few to cut 32 x 32"),
        (Resize(200_000, None), "pixels after resize"),
        (RandomCrop(4, 4, 100_000), "pixels after pad"),
    ],
)
def test_what_does_not_fit_a_picture_is_refused(operation: Operation, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        operation(IMAGE, generator())


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        (["N", 3, 10, 14], (0, 3, 1, 2)),
        (["N", "C", "H", "W"], (0, 3, 1, 2)),
        (["N", 10, 14, 3], (0, 1, 2, 3)),
        (["N", "H", "W", 3], (0, 1, 2, 3)),
    ],
)
def test_an_input_gets_pixels_in_its_layout_and_normalized(
    shape: list[int | str], axes: tuple[int, ...]
) -> None:
    tensor = Tensor("x", "float32", shape)
    layout = layout_of(tensor)
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])
    transform = Transform((), Normalize(tuple(mean), tuple(std)))
    made = as_input(
        [picture(IMAGE, layout), picture(IMAGE[::-1], layout)], tensor, layout, transform
    )
    expected = (np.stack([IMAGE, IMAGE[::-1]]).astype(np.float64) / 255 - mean) / std
    assert made.dtype == np.float32 and made.flags.c_contiguous
    np.testing.assert_allclose(made, expected.transpose(axes), atol=1e-6)


def test_channels_become_those_that_an_input_has() -> None:
    one, three = (layout_of(Tensor("x", "float32", ["N", count, 4, 4])) for count in (1, 3))
    gray = picture(IMAGE, one)
    expected = IMAGE.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(gray[:, :, 0] - expected).max() <= 0.51
    np.testing.assert_array_equal(picture(IMAGE[:, :, 0], three), IMAGE[:, :, [0, 0, 0]])
    np.testing.assert_array_equal(picture(IMAGE.transpose(2, 0, 1), three), IMAGE)


def test_shades_of_gray_lie_in_one_row_where_the_input_is_one() -> None:
    tensor = Tensor("x", "float32", ["N", 12])
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
    made = as_input(list(pixels), tensor, layout_of(tensor), Transform())
    np.testing.assert_allclose(made, np.arange(12)[None] / 255, atol=1e-7)


def test_other_sizes_than_the_inputs_are_refused() -> None:
    tensor = Tensor("x", "float32", ["N", 3, 8, 8])
    with pytest.raises(UserError, match="have 10 x 14 pixels .*the model wants 8 x 8"):
        as_input([IMAGE], tensor, layout_of(tensor), Transform())
    with pytest.raises(UserError, match="differ in size .*transform='resize=224x224'"):
        as_input([IMAGE, IMAGE[1:]], tensor, layout_of(tensor), Transform())
    with pytest.raises(UserError, match="takes no images"):
        layout_of(Tensor("x", "float32", ["N", 16, 8, 8]))
