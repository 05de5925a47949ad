"""The networks whose training steps are timed: those of the paper, and three of the usual size."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import svgd_onnx
from tools import networks
from tools.networks import small_transformer
from tools.usual_models import bert, gpt2, resnet50

BERT_LAYERS, BERT_LENGTH, GPT2_LENGTH = 4, 128, 64
VOCABULARY = 30000


@dataclass(frozen=True)
class Benched:
    """A network, and the batches that it trains on.

    Attributes:
        write: writes the model for batches of a size to a path.
        batch: the usual size of one.
        example: the shape of the first input, without the batch.
        classes: how many labels there are.
        labels: the shape of one example's.
        tokens: whether the first input is of token ids.
        masked: whether there is an attention_mask, all ones.
        options: for `convert`.
        torch: what it is called in `pytorch_training.NETWORKS`, where not as here.
        torch_options: for that.
    """

    write: Callable[[Path, int], object]
    batch: int
    example: tuple[int, ...]
    classes: int = 10
    labels: tuple[int, ...] = ()
    tokens: bool = False
    masked: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    torch: str | None = None
    torch_options: Mapping[str, Any] = field(default_factory=dict)

    def convert(self, folder: str | Path, batch: int, **options: Any) -> None:
        """Converts it, unverified."""
        with tempfile.TemporaryDirectory() as place:
            model = Path(place) / "model.onnx"
            self.write(model, batch)
            svgd_onnx.convert(model, folder, verify=False, **{**self.options, **options})

    def data(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """The first input and the labels of a batch."""
        random = np.random.default_rng(0)
        shape = (batch, *self.example)
        labels = random.integers(0, self.classes, (batch, *self.labels))
        if self.tokens:
            return random.integers(0, VOCABULARY, shape), labels
        return random.standard_normal(shape, np.float32), labels

    def arrays(self, names: list[str], batch: int) -> dict[str, np.ndarray]:
        """A batch by the names of arrays: the first input, perhaps a mask, the labels."""
        first, labels = self.data(batch)
        middle = [np.ones_like(first)] if self.masked else []
        return dict(zip(names, [first, *middle, labels], strict=True))


def _of_the_paper(build: Callable[[int], onnx.ModelProto]) -> Callable[[Path, int], object]:
    return lambda path, batch: onnx.save(build(0), path)


def _resnet50(path: Path, batch: int) -> None:
    resnet50.write(path, is_folded=False)


def _bert(path: Path, batch: int) -> None:
    bert.write(path, batch=batch, length=BERT_LENGTH, layers=BERT_LAYERS)


def _gpt2(path: Path, batch: int) -> None:
    gpt2.write(path, batch=batch, length=GPT2_LENGTH)


_image = partial(Benched, batch=128, example=(3, 32, 32))
BENCHED: Mapping[str, Benched] = {
    "paper_mlp": Benched(_of_the_paper(networks.NETWORKS["paper_mlp"]), 32, (784,)),
    "paper_vgg": _image(_of_the_paper(networks.NETWORKS["paper_vgg"])),
    "paper_resnet20": _image(_of_the_paper(networks.NETWORKS["paper_resnet20"])),
    "small_transformer": Benched(
        _of_the_paper(networks.NETWORKS["small_transformer"]),
        32,
        (small_transformer.PATCHES, small_transformer.PATCH_SIZE),
    ),
    "resnet50": Benched(_resnet50, 8, (3, 224, 224), classes=1000),
    "bert_4_layers": Benched(_bert, 8, (BERT_LENGTH,), classes=2, tokens=True, masked=True),
    "gpt2": Benched(
        _gpt2,
        2,
        (GPT2_LENGTH,),
        classes=VOCABULARY,
        labels=(GPT2_LENGTH,),
        tokens=True,
        options={"loss_settings": svgd_onnx.LossSettings(class_axis=2)},
    ),
}

# ResNet-20 by the height and width of its images, and by the channels of its first stage.
SIZES, CHANNELS = (16, 32, 64, 128), (8, 16, 32, 64)


def _resnet20(size: int, channels: int) -> Benched:
    build = partial(networks.NETWORKS["paper_resnet20"], size=size, channels=channels)
    options = {"channels": channels}
    return Benched(
        _of_the_paper(build),
        32,
        (3, size, size),
        torch="paper_resnet20",
        torch_options=options,
    )


RESNETS_BY_SIZE: Mapping[str, Benched] = {
    f"resnet20, {size} pixels": _resnet20(size, 16) for size in SIZES
}
RESNETS_BY_CHANNELS: Mapping[str, Benched] = {
    f"resnet20, {channels} channels": _resnet20(32, channels) for channels in CHANNELS
}
ALL: Mapping[str, Benched] = {**BENCHED, **RESNETS_BY_SIZE, **RESNETS_BY_CHANNELS}
