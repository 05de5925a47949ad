"""The fields of settings as keywords of a function."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest

import svgd_onnx
from svgd_onnx import LossSettings, conversion_commands
from svgd_onnx.conversion.keywords import keywords_of, take
from svgd_onnx.conversion.options import TrainingSettings, UpdateSettings
from svgd_onnx.transforms.virtualize import VirtualGradientSettings


@dataclass(frozen=True)
class Colour:
    red: int = 1
    green: int = 2


@keywords_of(Colour)
def paint(wall: str, *, coats: int = 1, **settings: Any) -> tuple[str, int, Colour]:
    return wall, coats, take(Colour, settings)


def test_fields_are_keywords_with_their_defaults() -> None:
    assert paint("north") == ("north", 1, Colour())
    assert paint("north", green=5, coats=2) == ("north", 2, Colour(green=5))
    assert list(inspect.signature(paint).parameters) == ["wall", "coats", "red", "green"]


def test_another_keyword_is_an_error_as_of_any_function() -> None:
    with pytest.raises(TypeError, match=r"paint\(\) got an unexpected keyword argument 'blue'"):
        paint("north", blue=3)


def test_convert_has_every_setting_as_a_keyword() -> None:
    known = inspect.signature(svgd_onnx.convert).parameters
    for kind in (TrainingSettings, VirtualGradientSettings, UpdateSettings):
        for field in fields(kind):
            assert known[field.name].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize(
    ("command", "kinds"),
    [
        (
            conversion_commands.convert,
            (TrainingSettings, LossSettings, VirtualGradientSettings, UpdateSettings),
        ),
        (conversion_commands.check, (TrainingSettings, LossSettings)),
    ],
)
def test_every_setting_is_an_option_of_the_command(command: Any, kinds: tuple[type, ...]) -> None:
    known = inspect.signature(command).parameters.keys()
    for kind in kinds:
        assert {field.name for field in fields(kind)} - {"loss_settings"} <= known


def test_numbers_and_weights_may_be_numpys(tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(
        models.mlp(),
        tmp_path / "a",
        target="onnx",
        verify=False,
        num_classes=np.int64(3),
        scale=np.float32(0.5),
        loss_settings=svgd_onnx.LossSettings(
            class_weights=np.array([1.0, 0.5, 2.0]), ignore_index=np.int64(-1)
        ),
    )
    assert svgd_onnx.Manifest.load(tmp_path / "a") == manifest
    assert (manifest.num_classes, manifest.hyper_parameters["scale"]) == (3, 0.5)
    assert manifest.loss_settings.class_weights == (1, 0.5, 2)
