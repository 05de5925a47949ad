"""Options of training on several ranks, and what a rank does otherwise than a command that is alone."""

from __future__ import annotations

import typer

from svgd_onnx import signals, terminal
from svgd_onnx.distributed import Communicator, join

DATA_PARALLEL = typer.Option(
    False,
    "--data-parallel",
    help="Make the step for several ranks too, as mpirun starts them; for the target onnx.",
)
R = typer.Option(
    "exact",
    "--r",
    help="Over several ranks: exact, T of the whole batch, or local, by each rank's own r, with one reduction "
    "a step.",
)
BATCH_NORM = typer.Option(
    "local",
    help="Over several ranks: BatchNormalization by local statistics, of each rank's share, or synchronized "
    "ones.",
)
DISTRIBUTED = typer.Option(
    None,
    "--distributed/--no-distributed",
    help="Whether to be a rank of an MPI job; by default where mpirun started this.",
)
COMPRESS = typer.Option(
    None,
    metavar="float16",
    help="Over several ranks: send gradients as float16, and what is rounded off with the next ones.",
)


def join_job(wanted: bool | None, *, stops: bool) -> Communicator | None:
    """The ranks of the job that this command is one of, if it is; of them the first alone prints.

    Args:
        wanted: whether it is; None for what the environment says.
        stops: whether a signal lets training end after its step, on which the first rank decides.

    Raises:
        UserError: it is, and MPI is not there.
    """
    communicator = join(wanted)
    if communicator is not None and communicator.rank:
        terminal.use(terminal.Form.QUIET)
        signals.leave_to_others(ignore=stops)
    return communicator
