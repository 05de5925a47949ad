"""Models of the usual size in the forms that exporters write by default, made without a framework.

Each file writes one model, its tensors beside it, and knows the names of its parameters: all else is a
constant. The forms are those of torch.onnx.export(dynamo=True) of PyTorch 2.13; weights are random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tools.usual_models import bert, gpt2, llama, recurrent, resnet50, unet


@dataclass(frozen=True)
class UsualModel:
    """One of them.

    Attributes:
        write: writes it to a path, and gives the names of its parameters.
        reduced: sizes of one of the same form that is small.
        options: for `convert`, those of `LossSettings` beside them.
        tolerance: of the error of gradients. BatchNormalization over a batch of two, in training mode, leaves
            more to rounding; a gradient that is wrong is off by 0.1 and more.
    """

    write: Callable[..., list[str]]
    reduced: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 2e-3

    def write_reduced(self, path: Path) -> list[str]:
        """Writes the small one."""
        return self.write(path, **self.reduced)


_WIDE = {"layers": 2, "width": 64, "count": 4}
_SMALL_BERT = {**_WIDE, "vocabulary": 200, "length": 80, "positions": 128}
_SMALL_RESNET = {"size": 64, "classes": 10, "blocks": (1, 2), "width": 8}

USUAL_MODELS: Mapping[str, UsualModel] = {
    "gpt2": UsualModel(
        gpt2.write,
        {**_WIDE, "vocabulary": 200, "length": 16, "positions": 32},
        {"class_axis": 2},
    ),
    "bert": UsualModel(bert.write, _SMALL_BERT),
    "bert_open": UsualModel(partial(bert.write, is_open=True), _SMALL_BERT),
    "lstm": UsualModel(partial(recurrent.write, kind="LSTM"), {"length": 6}),
    "gru": UsualModel(partial(recurrent.write, kind="GRU"), {"length": 6}),
    "resnet50": UsualModel(resnet50.write, _SMALL_RESNET),
    "resnet50_bn": UsualModel(
        partial(resnet50.write, is_folded=False), _SMALL_RESNET, tolerance=5e-2
    ),
    "llama": UsualModel(
        llama.write,
        {
            **{"layers": 2, "width": 64, "count": 4, "groups": 2, "hidden": 160},
            **{"vocabulary": 100, "length": 8},
        },
        {"class_axis": 2},
    ),
    "unet": UsualModel(
        unet.write, {"size": 8, "width": 16, "groups": 4, "count": 2}, {"loss": "mse"}
    ),
}
