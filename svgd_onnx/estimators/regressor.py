"""The estimator of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import validate_data

from svgd_onnx.estimators.estimator import OnnxEstimator
from svgd_onnx.estimators.fitting import Model
from svgd_onnx.files import PathLike
from svgd_onnx.training.given_array import refuse_masked


class OnnxRegressor(MultiOutputMixin, RegressorMixin, OnnxEstimator):
    """A regressor of scikit-learn that trains an ONNX model, of one output or several.

    Args:
        model: as of `OnnxClassifier`; a factory is a function of the number of features and of outputs.
        loss: "mse", "l1" or "huber".
        optimizer, learning_rate, epochs, batch_size, validation_fraction: as of `OnnxClassifier`.
        target, convert_options, folder, threads, random_state: as of `OnnxClassifier`.

    Attributes:
        n_features_in_, loss_curve_, validation_loss_curve_, onnx_, manifest_: as of `OnnxClassifier`.

    Example:
        >>> regressor = svgd_onnx.OnnxRegressor(epochs=20, random_state=0).fit(images, images.mean(axis=1))
        >>> regressor.predict(images[:5]).shape, regressor.loss_curve_[-1] < regressor.loss_curve_[0]
        ((5,), True)
    """

    _losses = ("mse", "l1", "huber")

    def __init__(
        self,
        model: Model | None = None,
        *,
        loss: str = "mse",
        optimizer: str = "svgd",
        learning_rate: float = 0.01,
        epochs: int = 100,
        batch_size: int = 32,
        validation_fraction: float = 0.0,
        target: str | None = None,
        convert_options: Mapping[str, Any] | None = None,
        folder: PathLike | None = None,
        threads: int | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            model,
            loss=loss,
            optimizer=optimizer,
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            validation_fraction=validation_fraction,
            target=target,
            convert_options=convert_options,
            folder=folder,
            threads=threads,
            random_state=random_state,
        )

    def fit(self, X: Any, y: Any) -> OnnxRegressor:  # noqa: N803
        """Trains the model anew.

        Args:
            X: as of `OnnxClassifier.fit`.
            y: (n,) or (n, outputs) numbers.

        Returns:
            Itself.

        Raises:
            UserError: an option, the model or the data does not fit.
            ValueError: scikit-learn refuses X or y.
        """
        refuse_masked(X, "X")
        refuse_masked(y, "y")
        X, y = validate_data(  # noqa: N806
            self, X, y, multi_output=True, y_numeric=True, **self._form()
        )
        self._outputs = y.shape[1:]
        targets = y.reshape(len(y), -1).astype(np.float32)
        self._fit(X, targets, targets.shape[1])
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The prediction for each row.

        Args:
            X: as of `fit`.

        Returns:
            (n,), or (n, outputs) where y had that shape; float64.
        """
        predicted = self._predictions(X).astype(np.float64)
        return predicted.reshape(len(predicted), *self._outputs)
