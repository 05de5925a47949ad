"""The training step of a folder as a function of the parameters: its loss, and gradients without T."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.conversion.inference import options_for_few_runs
from svgd_onnx.conversion.loss_changes import LARGE
from svgd_onnx.errors import UserError, first_line
from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import custom_op_library, has_training, inference_runtime
from svgd_onnx.step_names import LOSS_SCALE, beside
from svgd_onnx.targets.session import seeded
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.emit import plain_loss
from svgd_onnx.transforms.emit.standard_onnx import write_gradients_of_rows
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.lower.neutral_virtual_gradient import NeutralVirtualGradient
from svgd_onnx.transforms.lower.surrogate import StraightThroughSurrogate
from svgd_onnx.transforms.mixed_precision import SingleProducts
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.virtualize import DOMAIN
from svgd_onnx.transforms.writer import take_place

# So often a session that gives the gradients too is asked for the loss of a model that is not large: to open
# another takes longer.
_FEW = 8
# Before each run, so that Dropout drops the same.
_SEED = 1


class RawGradients:
    """A training step as it was written, opened for its loss and its gradients.

    Args:
        path: the model of the step, of any target.
        manifest: the folder's.
        batch: an array for each input and the label.
        values: the parameters, and all else that the checkpoint holds but r, in C order. They are read where
            they lie, so that a run is of what they hold then.

    Attributes:
        is_of_one_run: whether quantizations are taken as they were at the values that were there first.

    Raises:
        UserError: onnxruntime does not take it.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        batch: Mapping[str, np.ndarray],
        values: Mapping[str, np.ndarray],
    ) -> None:
        self._onnxruntime = onnxruntime = inference_runtime()
        states = {each.state: each.state_shape for each in manifest.operations if each.state}
        self._trained = [each.name for each in manifest.parameters if each.trainable]
        self._values = values
        self._l1 = {
            each.name: manifest.hyper_parameters["l1"] for each in manifest.parameters if each.l1
        }
        self._loss = beside(LOSS_OUTPUT, manifest.own_names)
        self._gradients = {
            name: beside(gradient_name(name), manifest.own_names) for name in self._trained
        }
        inputs = [tensor.name for tensor in manifest.inputs]
        model = _loss_and_gradients(path, inputs, self._loss, self._gradients, states)
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True
        zeros = {name: np.zeros(shape, np.float32) for name, shape in states.items()}
        # products are in float32 here, of any scale
        scale = {
            each.name: np.ones((), np.float32)
            for each in manifest.states
            if each.name == LOSS_SCALE
        }
        given = {**zeros, **scale, **batch, **values}
        fixed = self._straight_through(model, given)
        given.update(fixed)
        self.is_of_one_run = bool(fixed)
        self._session = self._forward = self._open(model)
        # a build without training computes all outputs, whatever it is asked for
        self._is_apart = manifest.random or has_training()
        self._until_apart = _FEW if sum(values[name].size for name in self._trained) < LARGE else 0
        self._model = model
        self._given = {
            each.name: onnxruntime.OrtValue.ortvalue_from_numpy(given[each.name])
            for each in self._session.get_inputs()
        }

    def _straight_through(
        self, model: ir.Model, given: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Makes of a loss that is a staircase, by quantizations, one whose slope the gradients say.

        Returns:
            Arrays for the inputs that the model has from then on, by name.
        """
        surrogate = StraightThroughSurrogate(model)
        if not surrogate.names:
            return {}
        first = model.clone()
        produced = {value.name: value for node in first.graph for value in node.outputs}
        produced.update({value.name: value for value in first.graph.inputs})
        names = list(dict.fromkeys(surrogate.names))
        first.graph.outputs.clear()
        first.graph.outputs.extend(produced[name] for name in names)
        session = self._open(first)
        feeds = {value.name: given[value.name] for value in session.get_inputs()}
        with seeded(_SEED):
            found = dict(zip(names, session.run(names, feeds)))
        return surrogate.apply([found[name] for name in surrogate.names])

    def _open(self, model: ir.Model) -> Any:
        """A session of a model.

        Raises:
            UserError: onnxruntime does not take it.
        """
        onnxruntime = self._onnxruntime
        options = options_for_few_runs(onnxruntime, len(model.graph))
        options.enable_cpu_mem_arena = False  # nothing is held between runs
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "0"
        )  # for many short runs
        if any(node.domain == DOMAIN for node in model.graph):
            options.register_custom_ops_library(str(custom_op_library()))
        try:
            return onnxruntime.InferenceSession(
                ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the binding has an exception class for each status
            raise UserError(
                f"onnxruntime {onnxruntime.__version__} cannot load the step ({first_line(error)})"
            ) from error

    def loss(self) -> float:
        """The loss of the parameters as they are."""
        if self._until_apart == 0 and not self._is_apart:
            _keep_outputs(self._model, {self._loss})
            self._forward = self._open(self._model)
            self._is_apart = True
        self._until_apart -= 1
        (loss,) = self._run(self._forward, [self._loss])
        return float(loss)

    def loss_and_gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        """Also its gradient by each trained parameter, without T and without L1's."""
        loss, *gradients = self._run(self._session, [self._loss, *self._gradients.values()])
        found = dict(zip(self._trained, gradients))
        for name, strength in self._l1.items():
            if name in found:
                found[name] = found[name] - np.float32(strength) * np.sign(self._values[name])
        return float(loss), found

    def _run(self, session: Any, names: list[str]) -> list[np.ndarray]:
        """Views of what a session gives, which it does not hold."""
        given = {each.name: self._given[each.name] for each in session.get_inputs()}
        with seeded(_SEED):
            found = session.run_with_ort_values(names, given, self._options)
        return [np.asarray(each.numpy()) for each in found]


def _loss_and_gradients(
    path: Path,
    inputs: Sequence[str],
    loss: str,
    gradients: Mapping[str, str],
    states: Mapping[str, object],
) -> ir.Model:
    """The part of a step that gives the loss and the gradients, and T without effect."""
    model = ir.load(path)
    graph = model.graph
    for value, name in zip(graph.inputs, inputs):
        value.name = name  # which the training session may have under another
    SingleProducts()(model)
    write_gradients_of_rows(graph, gradients)
    NeutralVirtualGradient(states)(model)
    # the loss is asked for many times, and must not ask for the gradients
    step_loss = next(value for value in graph.outputs if value.name == loss)
    take_place(plain_loss(step_loss), step_loss)
    _keep_outputs(model, {loss, *gradients.values()})
    return model


def _keep_outputs(model: ir.Model, wanted: Collection[str]) -> None:
    """Leaves the part of a model that gives some of its values."""
    graph = model.graph
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    outputs = [value for value in values if value.name in wanted]
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    common.RemoveUnusedNodesPass()(model)
    read = {value for node in all_nodes(graph) for value in node.inputs} | set(outputs)
    for value in [each for each in graph.inputs if each not in read]:
        graph.inputs.remove(value)
