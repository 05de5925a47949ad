"""The estimator of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from svgd_onnx.errors import UserError
from svgd_onnx.estimators.estimator import OnnxEstimator
from svgd_onnx.estimators.fitting import Model, check_classes
from svgd_onnx.files import PathLike
from svgd_onnx.training.given_array import refuse_masked


class OneClassError(UserError, ValueError):
    """There is nothing to tell apart; scikit-learn wants a ValueError of that."""


class OnnxClassifier(ClassifierMixin, OnnxEstimator):
    """A classifier of scikit-learn that trains an ONNX model.

    The model gives a logit or a probability for each class, (n, classes), and is trained by cross-entropy.
    It is converted into training artifacts, trained, and kept as it would be exported: pickling and copying
    an estimator need no folder.

    Args:
        model: an exported ONNX model, as a file or in memory; or a factory of one, a function of the number
            of features and of classes. None is a perceptron with one hidden layer of 100 units.
        loss: "cross-entropy".
        optimizer: as for `convert`: "svgd", or "adamw" and others.
        learning_rate: alpha.
        epochs: how often to go through the examples.
        batch_size: examples a step; all where there are fewer. What does not fill a last batch is left out of
            that epoch.
        validation_fraction: the share of the examples that is not trained on, and on which the loss is
            looked at after each epoch (`validation_loss_curve_`), in [0, 1).
        target: as for `convert`: "ort-training" or "onnx"; None for the former where it is installed.
        convert_options: further keywords of `convert`, by name: {"freeze": ["backbone.*"]}.
        folder: where to leave the training artifacts; they replace those of a fit before. None for a
            temporary folder.
        threads: threads within an operator; None for one a core.
        random_state: of the order of examples, of Dropout, of the validation data and of the perceptron's
            weights: an integer, a RandomState, or None for another each time.

    Attributes:
        classes_: the labels, in the order of the model's outputs.
        n_features_in_: features of an example.
        loss_curve_: the mean loss of each epoch.
        validation_loss_curve_: the loss on the validation data after each epoch.
        onnx_: the trained model, the bytes of an ONNX file.
        manifest_: what the training artifacts said of themselves (`svgd_onnx.Manifest`).

    Example:
        >>> classifier = svgd_onnx.OnnxClassifier(epochs=20, random_state=0).fit(images, labels)
        >>> classifier.predict(images[:5]).shape, classifier.score(images, labels) > 0.9
        ((5,), True)
    """

    _losses = ("cross-entropy",)
    _final = "Softmax"

    def __init__(
        self,
        model: Model | None = None,
        *,
        loss: str = "cross-entropy",
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

    def fit(self, X: Any, y: Any) -> OnnxClassifier:  # noqa: N803
        """Trains the model anew.

        Args:
            X: (n, features), or, for a model that was given, of its input's shape: (n, channels, height,
                width). Rows of features are brought to that shape.
            y: (n,) labels: integers, texts, anything that can be sorted.

        Returns:
            Itself.

        Raises:
            UserError: an option, the model or the data does not fit.
            ValueError: scikit-learn refuses X or y.
        """
        refuse_masked(X, "X")
        refuse_masked(y, "y")
        X, y = validate_data(self, X, y, **self._form())  # noqa: N806
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise OneClassError("y has 1 class: give examples of two classes or more.")
        stratify = labels if min(np.bincount(labels)) > 1 else None
        self._fit(X, labels.astype(np.int64), len(self.classes_), stratify)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """The probability of each class.

        Args:
            X: as of `fit`.

        Returns:
            (n, classes) float64, in the order of `classes_`.
        """
        scores = self._predictions(X).astype(np.float64)
        check_classes(scores.shape[1], len(self.classes_))
        if self.manifest_.logits != self.manifest_.prediction and (scores >= 0).all():
            shares = scores
        else:  # logits; or what LogSoftmax makes of them, whose Softmax is the same
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The most probable label of each row.

        Args:
            X: as of `fit`.

        Returns:
            (n,), of the type of y.
        """
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])
