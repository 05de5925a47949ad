"""One run of an experiment, in a folder from which it goes on after an interruption.

The folder of a run holds the artifacts with their checkpoint, and the network with BatchNormalization
that takes the statistics of its batch. Both are made where they are missing; made in an environment
that converts, they train in one with a stock onnxruntime, which needs neither onnx nor a converter.

The checkpoint is written after each test, once its row is in the result. What came after the last
checkpoint is done again, with the same batches: they are a function of seed and step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import svgd_onnx
from svgd_onnx.files import whole_file
from svgd_onnx.targets.kernels import AUTO
from svgd_onnx.training.batches import BatchOrder
from svgd_onnx.training.progress import Progress
from tools.paper.experiment import Data, Experiment
from tools.paper.folders import make_folder
from tools.paper.result import Result, Test
from tools.paper.state import restore_state, state_of, write_state

ARTIFACTS, BATCH_STATISTICS_MODEL = "artifacts", "batch_statistics.onnx"
OPTIONS_OF_T = ("scale", "epsilon", "t_scope", "granularity", "gradient")


@dataclass(frozen=True)
class Run:
    """What is run: an experiment with an optimizer, and what differs from the paper.

    Attributes:
        experiment: the experiment.
        optimizer: one of its recipes.
        seed: of the weights, the order of the examples and their augmentation.
        steps: of a schedule like the paper's, drawn out or shortened to that length.
        l1: factor of the L1 penalty; T does not act on the penalty's gradient.
        scale: T's s.
        epsilon: T's epsilon.
        t_scope: "weights" or "all-linear".
        granularity: "element" or "channel".
        gradient: "graph" or "example".
        target: "ort-training" or "onnx".
        evaluate_every: steps between two tests.
    """

    experiment: Experiment
    optimizer: str
    seed: int
    steps: int
    l1: float
    scale: float
    epsilon: float = 1e-6
    t_scope: str = "weights"
    granularity: str = "element"
    gradient: str = "graph"
    target: str = "ort-training"
    evaluate_every: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the run depends on, but the machine; without T's where there is no T."""
        settings = {**asdict(self), "experiment": self.experiment.name}
        if self.optimizer != "svgd":
            for name in OPTIONS_OF_T:
                del settings[name]
        return settings

    @property
    def variant(self) -> dict[str, Any]:
        """The settings that differ from the paper's."""
        usual = Run.of(self.experiment, self.optimizer, self.seed).settings
        return {
            name: value
            for name, value in self.settings.items()
            if value != usual[name] and name != "evaluate_every"
        }

    @property
    def name(self) -> str:
        """Optimizer, what differs from the paper, seed: of the file of the result."""
        differs = [f"{name.replace('_', '-')}-{value}" for name, value in self.variant.items()]
        return "-".join([self.optimizer, *differs, str(self.seed)])

    @classmethod
    def of(cls, experiment: Experiment, optimizer: str, seed: int, **options: Any) -> Run:
        """As the paper has it, but for the options that are given and not None."""
        usual = {
            "steps": experiment.steps,
            "l1": experiment.l1,
            "scale": experiment.recipes[optimizer].scale,
            "evaluate_every": experiment.evaluate_every,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return cls(experiment, optimizer, seed, **{**usual, **given})


def make(run: Run, folder: Path) -> None:
    """Makes what a run needs in its folder, where it is not there yet."""
    if (folder / ARTIFACTS).exists() and (folder / BATCH_STATISTICS_MODEL).exists():
        return
    from tools.networks import NETWORKS
    from tools.paper.batch_statistics import with_batch_statistics

    network = NETWORKS[run.experiment.network](run.seed)
    if not (folder / ARTIFACTS).exists():
        svgd_onnx.convert(
            network,
            folder / ARTIFACTS,
            optimizer=run.optimizer,
            scale=run.scale,
            epsilon=run.epsilon,
            l1=run.l1,
            t_scope=(run.t_scope,),
            granularity=run.granularity,
            gradient=run.gradient,
            target=run.target,
        )
    with whole_file(folder / BATCH_STATISTICS_MODEL) as temporary:
        temporary.write_bytes(with_batch_statistics(network).SerializeToString())


def train(
    run: Run,
    data: Data,
    folder: Path,
    path: Path,
    *,
    threads: int | None = None,
    device: str = "cpu",
    device_options: Mapping[str, str] | None = None,
    kernels: str = AUTO,
    tested: Callable[[Result], None] = lambda result: None,
    found: Callable[[Result], None] = lambda result: None,
    progress: bool = False,
    keep_state: bool = False,
) -> Result:
    """Begins or goes on with a run, to its end.

    A run whose folder is not there goes on from the state beside its result, where there is one. At its end
    that state is deleted.

    Args:
        run: what to do.
        data: the experiment's.
        folder: of the run.
        path: of its result.
        threads: threads within an operator; None lets onnxruntime choose.
        device: "cpu" or "cuda", for the target onnx.
        device_options: of that provider, by their names there.
        kernels: whose kernels train, one of `KERNELS`.
        tested: is called after each test.
        found: is called in place of a training, where the result is finished already.
        progress: show a progress bar.
        keep_state: write the state beside the result with each checkpoint.

    Raises:
        UserError: the result is of other settings, or training is impossible or diverges.
    """
    environment = {
        "threads": threads,
        "device": device,
        "onnxruntime": onnxruntime.__version__,
    }
    if device_options:
        environment["device_options"] = dict(device_options)
    result = _opened(path, {**run.settings, **environment})
    if result.finished:
        found(result)
        return result
    state = state_of(path)
    if state.exists() and not folder.exists():
        restore_state(state, folder)
    make(run, folder)
    make_folder(path.parent)
    trainer = svgd_onnx.Trainer(
        folder / ARTIFACTS,
        seed=run.seed,
        threads=threads,
        device=device,
        device_options=device_options,
        kernels=kernels,
    )
    _check_artifacts(run, trainer.manifest, folder)
    _check_begun_with({"kernels": trainer.kernels}, result, path)
    result.settings["kernels"] = trainer.kernels
    if trainer.step and not (result.tests and result.tests[-1].step >= trainer.step):
        raise svgd_onnx.UserError(
            f"'{folder}' has been trained for {trainer.step} steps, but '{path}' knows nothing of "
            "them: delete that folder to start anew."
        )
    result.forget_after(trainer.step)
    batch_statistics = BatchStatistics(folder / BATCH_STATISTICS_MODEL, run, threads)
    with Progress(run.steps, trainer.step, progress) as bar:
        while trainer.step < run.steps:
            start = time.perf_counter()
            loss = _train_to(
                trainer, run, data, min(run.steps, trainer.step + run.evaluate_every), bar
            )
            result.seconds += time.perf_counter() - start
            trainer.check_finite()  # a row of the last step says that the run is finished
            running = trainer.evaluate(data.test)
            result.tests.append(
                Test(
                    trainer.step,
                    loss,
                    *batch_statistics.test(trainer, data),
                    running["loss"],
                    1 - running["accuracy"],
                )
            )
            measure_nearness_to_identity(result, trainer)
            # The row first: one without its checkpoint is forgotten and made again, the other way it is lost.
            result.save(path)
            trainer.save()
            if keep_state:
                write_state(folder, state)
            tested(result)
    state.unlink(missing_ok=True)
    return result


class BatchStatistics:
    """A test with BatchNormalization as in training, as the paper's authors test.

    It runs on the CPU: elsewhere a stock onnxruntime has no such BatchNormalization.

    Args:
        path: the network, with parameters as inputs and logits as output.
        run: how many images share their statistics.
        threads: threads within an operator; None lets onnxruntime choose.
    """

    def __init__(self, path: Path, run: Run, threads: int | None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns of BatchNormalization in training mode
        if threads is not None:
            options.intra_op_num_threads = threads
        self._batch_size = run.experiment.test_batch_size
        self._session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )

    def test(self, trainer: svgd_onnx.Trainer, data: Data) -> tuple[float, float]:
        """Mean cross-entropy and error over the test images."""
        image, *parameters = [each.name for each in self._session.get_inputs()]
        values = {name: trainer.tensor(name) for name in parameters}
        logits = np.concatenate(
            [
                self._session.run(
                    None, {image: data.test["image"][start : start + self._batch_size], **values}
                )[0]
                for start in range(0, len(data.test["labels"]), self._batch_size)
            ]
        ).astype(np.float64)
        labels = data.test["labels"]
        logits -= logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
        return float(losses.mean()), float(np.mean(logits.argmax(axis=1) != labels))


def _train_to(trainer: svgd_onnx.Trainer, run: Run, data: Data, last: int, bar: Progress) -> float:
    """Trains to a step; the mean loss on the way."""
    experiment = run.experiment
    order = BatchOrder(len(data.labels), experiment.batch_size, run.seed)
    losses: list[float] = []

    def batch(step: int) -> dict[str, np.ndarray]:
        rows = order.rows(step)
        images = experiment.prepare(data.images[rows], order.generator(step))
        return {"image": images, "labels": data.labels[rows]}

    with ThreadPoolExecutor(1) as executor:
        following = executor.submit(batch, trainer.step)
        while trainer.step < last:
            now = following.result()
            following = executor.submit(batch, trainer.step + 1)
            rate = experiment.rate(run.optimizer, trainer.step, run.steps)
            losses.append(trainer.train_step(now, rate))
            bar.advance({"loss": losses[-1]})
    return float(np.mean(losses))


def measure_nearness_to_identity(result: Result, trainer: svgd_onnx.Trainer) -> None:
    """Enters into a result how near T is to the identity now; without T, nothing."""
    hyper_parameters = trainer.manifest.hyper_parameters
    r = {
        each.parameter: trainer.tensor(each.state).ravel().astype(np.float64)
        for each in trainer.manifest.operations
        if each.state
    }
    if not r:
        return

    def measures(values: np.ndarray) -> tuple[float, float]:
        epsilon = hyper_parameters["epsilon"]
        factors = hyper_parameters["scale"] / np.sqrt(values + epsilon)
        return float(np.mean(values < epsilon)), float(np.median(factors))

    result.r_below_epsilon, result.median_factor = measures(np.concatenate(list(r.values())))
    result.operations = {name: measures(values) for name, values in r.items()}


def _opened(path: Path, settings: dict[str, Any]) -> Result:
    """The result that is there, or a new one."""
    if not path.exists():
        return Result(settings)
    result = Result.load(path)
    if not (result.finished and result.settings["steps"] == settings["steps"]):
        _check_begun_with(settings, result, path)
    return result


def _check_begun_with(settings: dict[str, Any], result: Result, path: Path) -> None:
    """Refuses to go on with a run under other settings."""
    for name, value in settings.items():
        before = result.settings.get(name, value)
        if before == value:
            continue
        begun, now = ("onnxruntime's choice" if each is None else each for each in (before, value))
        raise svgd_onnx.UserError(
            f"'{path}' was begun with {name} {begun}, not {now}: go on with that, or choose "
            "another --output and --work."
        )


def _check_artifacts(run: Run, manifest: svgd_onnx.Manifest, folder: Path) -> None:
    wanted = (run.optimizer, run.target)
    found = (manifest.optimizer, manifest.target)
    if found != wanted:
        raise svgd_onnx.UserError(
            f"'{folder}' holds artifacts of {' and '.join(found)}, not {' and '.join(wanted)}: "
            "delete it, or choose another --work."
        )
