"""The commands that a device has: `train`, `evaluate`, `predict` and `export`. They need no onnx."""

from __future__ import annotations

import gc
from pathlib import Path

import typer

import svgd_onnx
from svgd_onnx import signals, terminal
from svgd_onnx.data_arguments import (
    CLASSES,
    COLUMNS,
    TRANSFORM,
    WORKERS,
    check_output,
    check_outside,
    open_data,
    parse_names,
    parse_validation,
)
from svgd_onnx.device_arguments import DEVICE, DEVICE_OPTION, parse_device_options
from svgd_onnx.distributed_arguments import COMPRESS, DISTRIBUTED, join_job
from svgd_onnx.errors import UserError, counted, option
from svgd_onnx.files import is_one_of
from svgd_onnx.manifest import Manifest
from svgd_onnx.option_types import text_of_parts, text_or_numbers
from svgd_onnx.prediction_command import write_outputs
from svgd_onnx.recorded_trainer import RecordedTrainer
from svgd_onnx.run_report import facts_of_run, show_run
from svgd_onnx.targets.artifact_files import check_not_of_artifacts
from svgd_onnx.trained_images import warn_of_other_images
from svgd_onnx.training.adapter_file import adapters_of, export_adapter
from svgd_onnx.training.export import export as export_folder
from svgd_onnx.training.kept_checkpoints import INITIAL, LAST
from svgd_onnx.training.metrics.confusion_matrix import as_text
from svgd_onnx.training.run_summary import RunSummary
from svgd_onnx.training_report import interrupted, say_classes, say_results
from svgd_onnx.what_runs import say_placement, say_what_runs, what_runs

_TRAINED = typer.Option(
    False,
    "--trained",
    help="The parameters as they were trained, where a training keeps averages of them (--ema).",
)
_VERBOSE = typer.Option(False, "--verbose", "-v", help="Say what runs the steps.")
_CHECKPOINT = typer.Option(
    None, metavar="NAME", help="last, best, initial or step-N, of those that training kept."
)


def train(
    context: typer.Context,
    folder: Path = typer.Argument(..., help="A folder of training artifacts."),
    data_file: Path = typer.Option(
        ...,
        "--data",
        help="An .npz file, a folder of images or of .npy files, a table, ...: docs/data.md.",
    ),
    validation: str | None = typer.Option(
        None,
        metavar="PATH|SHARE",
        parser=text_or_numbers,
        help="Data to evaluate on after each epoch, or a share of the data, as 0.2.",
    ),
    columns: list[str] = COLUMNS,
    transform: list[str] = TRANSFORM,
    classes: list[str] = CLASSES,
    workers: int = WORKERS,
    epochs: int | None = typer.Option(None, help="Epochs in all."),
    steps: int | None = typer.Option(None, help="Steps in all, instead of epochs."),
    batch_size: int = typer.Option(..., help="Examples a step."),
    learning_rate: float = typer.Option(..., help="The learning rate alpha."),
    schedule: str | None = typer.Option(
        None,
        metavar="STEP:RATE,…|NAME,…",
        parser=text_of_parts,
        help="The learning rate from a step on (1600:0.005,3600:0.001), or cosine, linear, polynomial, "
        "one-cycle or plateau with settings (warmup=500,cosine,min=0.0001).",
    ),
    metric: list[str] = typer.Option(
        [], metavar="NAME", help="A metric of the validation besides; may be repeated."
    ),
    early_stopping: int | None = typer.Option(
        None, metavar="PATIENCE", help="End after so many epochs without improvement."
    ),
    monitor: str | None = typer.Option(
        None, metavar="METRIC", help="What has to improve; the validation loss by default."
    ),
    min_delta: float | None = typer.Option(
        None, help="By how much it has to improve; 0 by default."
    ),
    shuffle: bool = typer.Option(
        True, "--shuffle/--no-shuffle", help="Whether the order of examples is random."
    ),
    seed: int | None = typer.Option(
        None, help="Of the order of examples and of Dropout; 0, or that of the run to resume."
    ),
    threads: int | None = typer.Option(None, help="Threads; by default one for each core."),
    device: str | None = DEVICE,
    device_option: list[str] = DEVICE_OPTION,
    kernels: str = typer.Option(
        "auto",
        help="fast or standard; by default the fast ones on the processor, where the folder has them.",
    ),
    distributed: bool | None = DISTRIBUTED,
    compress: str | None = COMPRESS,
    non_finite: str = typer.Option(
        "stop",
        help="Where a batch's loss or gradient is NaN or infinite: stop, or skip that step.",
    ),
    log: Path | None = typer.Option(None, help="A CSV file to log steps to."),
    log_every: int = typer.Option(1, help="Log each so many steps."),
    tensorboard: Path | None = typer.Option(
        None, metavar="DIR", help="A folder for TensorBoard's event files of this training."
    ),
    checkpoint_every: int | None = typer.Option(
        None, help="Save each so many steps, not only at the end."
    ),
    checkpoint_best: bool = typer.Option(
        False, "--checkpoint-best", help="Keep the checkpoint of the best validation too."
    ),
    checkpoint_keep: int | None = typer.Option(
        None, metavar="N", help="Keep the last N checkpoints, not the last alone."
    ),
    checkpoint: str | None = _CHECKPOINT,
    checkpoint_on_stop: bool = typer.Option(
        False,
        "--checkpoint-on-stop",
        help="Save when SIGINT or SIGTERM stops training; a second one does not wait for that.",
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Refuse to train what was not trained; all else goes on anyway."
    ),
    restart: bool = typer.Option(
        False, "--restart", help="Begin anew, from the initial parameters."
    ),
    verbose: bool = _VERBOSE,
) -> None:
    """Train, and save the checkpoint."""
    gc.enable()
    communicator = join_job(distributed, stops=checkpoint_on_stop)
    held_out = parse_validation(validation)
    if log is not None:
        check_output(log, [data_file, *([held_out] if isinstance(held_out, Path) else [])])
    if tensorboard is not None:
        check_outside(tensorboard, [data_file, *([held_out] if isinstance(held_out, Path) else [])])
    trainer = RecordedTrainer(
        context,
        folder,
        seed=seed,
        threads=threads,
        device=device,
        device_options=parse_device_options(device_option),
        kernels=kernels,
        non_finite=non_finite,
        checkpoint=_beginning(checkpoint, restart, resume),
        communicator=communicator,
        compress=compress,
    )
    told = verbose and say_what_runs(trainer)
    trained = (trainer.classes, trainer.label_classes)
    examples = open_data(data_file, columns, transform, classes, *trained)
    known, of_several = say_classes(trainer, examples)
    validated = (
        open_data(held_out, columns, transform, classes, known, of_several)
        if isinstance(held_out, Path)
        else held_out
    )
    stop = trainer.stop if checkpoint_on_stop else None
    summary = RunSummary()
    with signals.during(lambda: interrupted(trainer), stop):
        result = trainer.train(
            examples,
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            schedule=schedule,
            validation=validated,
            workers=workers,
            metrics=metric,
            shuffle=shuffle,
            early_stopping=early_stopping,
            monitor=monitor,
            min_delta=min_delta,
            checkpoint_every=checkpoint_every,
            checkpoint_best=checkpoint_best,
            checkpoint_keep=checkpoint_keep,
            log=log,
            log_every=log_every,
            tensorboard=tensorboard,
            callbacks=[summary],
            resume=resume,
            progress=terminal.shows_text(),
        )
    factors = trainer.factors() if summary.steps else []
    terminal.result(
        artifacts=folder,
        from_step=trainer.first_step,
        step=trainer.step,
        **result,
        best_step=trainer.best_step if checkpoint_best else trainer.best_validation,
        stopped_early=trainer.stopped_early,
        why_stopped=trainer.why_stopped,
        classes=known,
        label_classes=of_several,
        skipped=trainer.skipped,
        waiting=trainer.waiting,
        seed=trainer.seed,
        **what_runs(trainer),
        ranks=None if communicator is None else communicator.size,
        log=log,
        tensorboard=tensorboard,
        config=trainer.config,
        interrupted=signals.exit_code() is not None,
        **facts_of_run(trainer, summary, factors),
    )
    if signals.exit_code() is not None:
        terminal.complain(f"{interrupted(trainer)}.")
        raise typer.Exit(signals.exit_code() or 0)
    if verbose and not told:
        say_placement(trainer)
    say_results(trainer, result)
    show_run(trainer, summary, factors)
    if verbose and trainer.step > trainer.first_step:
        terminal.say(f"Steps waited for data {trainer.waiting:.1%} of the time.")


def _beginning(checkpoint: str | None, restart: bool, resume: bool) -> str:
    """The checkpoint to begin from."""
    if restart and (resume or checkpoint not in (None, INITIAL)):
        raise UserError(
            f"{option('restart')} begins from the initial parameters: leave {option('resume')} and "
            f"{option('checkpoint')} out."
        )
    return INITIAL if restart else checkpoint or LAST


def evaluate(
    folder: Path = typer.Argument(..., help="A folder of training artifacts."),
    data_file: Path = typer.Option(..., "--data", help="Data, as for train."),
    columns: list[str] = COLUMNS,
    transform: list[str] = TRANSFORM,
    classes: list[str] = CLASSES,
    workers: int = WORKERS,
    metric: list[str] = typer.Option(
        [], metavar="NAME", help="A metric to print besides; may be repeated."
    ),
    checkpoint: str | None = _CHECKPOINT,
    device: str | None = DEVICE,
    device_option: list[str] = DEVICE_OPTION,
    trained: bool = _TRAINED,
) -> None:
    """Print the loss over a data set, the accuracy, and other metrics."""
    gc.enable()
    trainer = svgd_onnx.Trainer(
        folder,
        device=device,
        device_options=parse_device_options(device_option),
        checkpoint=checkpoint or LAST,
    )
    warn_of_other_images(folder, transform)
    known = (trainer.classes, trainer.label_classes)
    examples = open_data(data_file, columns, transform, classes, *known)
    scores = trainer.evaluate(examples, metrics=metric, trained=trained, workers=workers)
    terminal.result(artifacts=folder, step=trainer.step, device=trainer.device, **scores)
    for name, value in scores.items():
        is_number = isinstance(value, float)
        lines = [f"{name} {value:.6f}"] if is_number else [name, *as_text(value).splitlines()]
        for line in lines:
            terminal.say(line)


def predict(
    path: Path = typer.Argument(
        ..., metavar="DIR|MODEL.onnx", help="A folder of training artifacts, or an ONNX model."
    ),
    data_file: Path = typer.Option(
        ..., "--data", help="Data, as for train; labels may be left out."
    ),
    output: Path = typer.Option(..., help="The .npz or .csv file to write."),
    columns: list[str] = COLUMNS,
    transform: list[str] = TRANSFORM,
    classes: list[str] = CLASSES,
    workers: int = WORKERS,
    batch_size: int = typer.Option(256, help="Examples that are computed at once."),
    threads: int | None = typer.Option(None, help="Threads; by default one for each core."),
) -> None:
    """Write what a model says of each example."""
    gc.enable()
    warn_of_other_images(path, transform)
    count = write_outputs(
        path,
        open_data(data_file, columns, transform, []),
        output,
        read=data_file,
        classes=parse_names(classes),
        workers=workers,
        batch_size=batch_size,
        threads=threads,
    )
    terminal.result(model=path, output=output, examples=count)
    terminal.say(f"{output}: what '{path}' says of {counted(count, 'example')}.")


def export(
    folder: Path = typer.Argument(..., help="A folder of training artifacts."),
    output: Path | None = typer.Option(None, help="The ONNX file to write."),
    adapter: Path | None = typer.Option(
        None, help="The safetensors file to write the low-rank adapters to, without the model."
    ),
    requantize: bool = typer.Option(
        False,
        "--requantize",
        help="Find scales of quantized weights anew, by what these have become.",
    ),
    checkpoint: str | None = _CHECKPOINT,
    trained: bool = _TRAINED,
) -> None:
    """Write the trained model as plain ONNX, or its adapters alone."""
    if output is None and adapter is None:
        raise UserError(
            f"Nothing is written: say with {option('output')} where the model goes, or with "
            f"{option('adapter')} where its adapters go."
        )
    if output is not None and adapter is not None and is_one_of(output, [adapter]):
        raise UserError(
            f"{option('output')} and {option('adapter')} are one file, '{output}': give two names."
        )
    checkpoint = checkpoint or LAST
    if adapter is not None:  # before anything is written
        adapters_of(folder, Manifest.load(folder))
        check_not_of_artifacts(adapter, folder)
    if output is not None:
        export_folder(folder, output, requantize=requantize, checkpoint=checkpoint, trained=trained)
        terminal.say(f"{output}: the trained model.")
    if adapter is not None:
        export_adapter(folder, adapter, checkpoint=checkpoint, trained=trained)
        terminal.say(f"{adapter}: the trained adapters.")
    made = {"model": output, "adapter": adapter}
    terminal.result(artifacts=folder, **{name: each for name, each in made.items() if each})
