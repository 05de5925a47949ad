"""What classifier and regressor have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from svgd_onnx.argument_types import real_number
from svgd_onnx.errors import UserError, check_choice
from svgd_onnx.estimators.default_network import perceptron
from svgd_onnx.estimators.fitting import Fitted, Model, Options, fit, is_factory, made
from svgd_onnx.estimators.predicting import predictions
from svgd_onnx.files import PathLike
from svgd_onnx.training.given_array import refuse_masked


class OnnxEstimator(BaseEstimator):
    """Parameters, fitting and raw predictions; see `OnnxClassifier` for what the parameters are."""

    _losses: tuple[str, ...]
    _final = "Identity"  # of the model that is made where none is given

    def __init__(
        self,
        model: Model | None = None,
        *,
        loss: str,
        optimizer: str,
        learning_rate: float,
        epochs: int,
        batch_size: int,
        validation_fraction: float,
        target: str | None,
        convert_options: Mapping[str, Any] | None,
        folder: PathLike | None,
        threads: int | None,
        random_state: Any,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.target = target
        self.convert_options = convert_options
        self.folder = folder
        self.threads = threads
        self.random_state = random_state

    def _fit(
        self,
        X: np.ndarray,  # noqa: N803
        y: np.ndarray,
        n_outputs: int,
        stratify: np.ndarray | None = None,
    ) -> None:
        """Trains on checked arrays, and keeps what came of it."""
        check_choice("loss", self.loss, self._losses)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        examples, validation = (X, y), None
        aside = real_number("validation_fraction", self.validation_fraction)
        if not 0 <= aside < 1:
            raise UserError(f"validation_fraction is {aside}, but must be in [0, 1).")
        if aside:
            train_x, held_x, train_y, held_y = train_test_split(
                X, y, test_size=aside, random_state=seed, stratify=stratify
            )
            examples, validation = (train_x, train_y), (held_x, held_y)
        fitted = fit(
            self._source(int(np.prod(X.shape[1:])), n_outputs, seed),
            n_outputs,
            examples,
            validation,
            Options(
                loss=self.loss,
                optimizer=self.optimizer,
                learning_rate=self.learning_rate,
                epochs=self.epochs,
                batch_size=self.batch_size,
                target=self.target,
                convert_options=self.convert_options,
                folder=self.folder,
                threads=self.threads,
                seed=seed,
            ),
        )
        self.loss_curve_ = fitted.losses
        self.validation_loss_curve_ = fitted.validation_losses
        self.onnx_ = fitted.model
        self.manifest_ = fitted.manifest

    def _source(self, n_features: int, n_outputs: int, seed: int) -> PathLike | onnx.ModelProto:
        if self.model is None:
            return perceptron(n_features, n_outputs, final=self._final, seed=seed)
        return made(self.model, n_features, n_outputs)

    def _predictions(self, X: Any) -> np.ndarray:  # noqa: N803
        """The model's numbers for each row, (n, outputs) float32."""
        check_is_fitted(self)
        refuse_masked(X, "X")
        rows = validate_data(self, X, reset=False, **self._form())
        return predictions(Fitted(self.onnx_, self.manifest_), rows, self.threads)

    def _form(self) -> dict[str, Any]:
        """What X may be: rows of features, or for a model that was given, of its shape."""
        if self.model is None or is_factory(self.model):
            return {"dtype": np.float32}
        return {"dtype": "numeric", "allow_nd": True}
