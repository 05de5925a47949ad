"""The loss and the metrics over a set of examples."""

from __future__ import annotations

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.session import Session, rows_at_fault
from svgd_onnx.training.examples import Taken, one_pass
from svgd_onnx.training.streams import StreamExamples
from svgd_onnx.transforms.losses import loss_named

BATCH_SIZE = 256


def evaluate(
    session: Session, manifest: Manifest, examples: Taken | StreamExamples, workers: int = 0
) -> dict[str, float]:
    """The loss over all examples, and the accuracy where the loss is one of classification.

    Args:
        session: of the artifacts.
        manifest: theirs.
        examples: what to evaluate on.
        workers: threads that prepare examples which are not there as the model takes them.

    Raises:
        UserError: the batch axis is fixed, and the examples do not fill the last batch; or the model cannot
            take them.
    """
    fixed = manifest.batch_size
    batch_size = fixed or BATCH_SIZE
    if fixed is not None and not isinstance(examples, StreamExamples) and len(examples) % fixed:
        raise _no_multiple(fixed, len(examples))
    total, weight, right, counted = 0.0, 0.0, 0, 0
    position = [tensor.name for tensor in manifest.outputs].index(manifest.prediction)
    settings, loss = manifest.loss_settings, loss_named(manifest.loss)
    summed = settings.reduction == "sum"
    logits = manifest.logits == manifest.prediction
    for number, (rows, batch) in enumerate(one_pass(examples, batch_size, workers)):
        count = len(rows)
        if fixed is not None and count != fixed:
            raise _no_multiple(fixed, number * fixed + count)
        with rows_at_fault(examples.source, examples.numbers(rows)):
            results = session.eval_step(batch, seed=number if manifest.random else None)
        of_batch = 1.0 if summed else loss.batch_weight(count, batch, settings)
        total += float(results[0]) * of_batch
        weight += of_batch
        answers = loss.right_answers(results[1 + position], batch[-1], settings, logits=logits)
        if answers is not None:
            right, counted = right + answers[0], counted + answers[1]
    result = {"loss": total if summed else total / weight}
    if counted:
        result["accuracy"] = right / counted
    return result


def _no_multiple(fixed: int, count: int) -> UserError:
    return UserError(
        f"The model's batch axis is fixed at {fixed}, and {count} examples are no "
        "multiple of that: export it with a batch axis of any size."
    )
