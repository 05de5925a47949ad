"""An ONNX file by itself: what onnxruntime makes of a batch, and the slope of its loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from svgd_onnx.manifest import Manifest

# Relative to the size of a parameter; one of them is neither lost in rounding nor bent.
_STEPS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
# Below it, of the loss, a change is float32's rounding.
_SEEN = 2e-5


class Source:
    """A model beside a batch, without anything of ours but the manifest.

    Args:
        path: the file.
        manifest: says what the loss is.
        batch: inputs and label.
    """

    def __init__(self, path: Path, manifest: Manifest, batch: Mapping[str, np.ndarray]) -> None:
        self._manifest, self._batch = manifest, batch
        self._model = onnx.load(path)
        self._initializers = {each.name: each for each in self._model.graph.initializer}
        self._file = path

    def loss(self) -> float:
        """Of the batch."""
        return self._loss_of(self._session(str(self._file)))

    def difference(self, other: Source) -> float:
        """The largest of any floating-point output, relative to the output's largest; infinite if not run."""
        mine, others = (
            session.run(None, self._feeds(session))
            for session in (self._session(str(self._file)), self._session(str(other._file)))
        )
        worst = 0.0
        for one, two in zip(mine, others):
            if isinstance(one, np.ndarray) and one.dtype.kind == "f" and one.size:
                scale = max(float(np.abs(one).max()), 1e-30)
                worst = max(worst, float(np.abs(one - two).max()) / scale)
        return worst

    def slope_error(self, name: str, value: np.ndarray, gradient: np.ndarray) -> float | None:
        """How far a gradient is from the loss's slope, half along it and half at random; None if not seen."""
        norm = float(np.linalg.norm(gradient))
        if name not in self._initializers or norm == 0:
            return None
        random = np.random.default_rng(0).normal(size=value.shape)
        direction = gradient / norm + random / np.linalg.norm(random)
        slope = float(np.sum(gradient * direction))
        size = max(float(np.linalg.norm(value)), 1e-3)
        if abs(slope) * size * _STEPS[0] < _SEEN * abs(self.loss()):
            return None
        errors = []
        for step in _STEPS:
            ahead, behind = (
                self._loss_at(name, value + sign * step * size * direction) for sign in (1, -1)
            )
            errors.append(abs((ahead - behind) / (2 * step * size) - slope) / abs(slope))
        return min(errors)

    def _loss_at(self, name: str, value: np.ndarray) -> float:
        tensor = self._initializers[name]
        kept = onnx.TensorProto()
        kept.CopyFrom(tensor)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        tensor.CopyFrom(numpy_helper.from_array(value.astype(dtype), name))
        try:
            return self._loss_of(self._session(self._model.SerializeToString()))
        finally:
            tensor.CopyFrom(kept)

    def _session(self, model: str | bytes) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _feeds(self, session: onnxruntime.InferenceSession) -> dict[str, np.ndarray]:
        return {value.name: self._batch[value.name] for value in session.get_inputs()}

    def _loss_of(self, session: onnxruntime.InferenceSession) -> float:
        manifest = self._manifest
        (found,) = session.run([manifest.prediction], self._feeds(session))
        prediction = found.astype(np.float64)
        if manifest.loss == "none":
            return float(prediction)
        label = self._batch[manifest.label.name]
        if manifest.loss == "mse":
            return float(np.mean((prediction - label) ** 2))
        if manifest.loss == "bce-with-logits":
            if prediction.min() >= 0 and prediction.max() <= 1:
                prediction = np.log(prediction / (1 - prediction))
            return float(np.mean(np.logaddexp(0, prediction) - label * prediction))
        values = np.moveaxis(prediction, manifest.loss_settings.class_axis, -1)
        are_chances = values.min() >= 0 and np.allclose(values.sum(axis=-1), 1, atol=1e-3)
        values = np.log(values) if are_chances else values - values.max(axis=-1, keepdims=True)
        values = values - np.log(np.exp(values).sum(axis=-1, keepdims=True))
        return -float(np.mean(np.take_along_axis(values, label[..., None], -1)))
