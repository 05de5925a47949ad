"""From an exported model to training artifacts: the whole way of the data, in one function."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from svgd_onnx import argument_types
from svgd_onnx.conversion import idle_options
from svgd_onnx.conversion.compute import ComputeSettings
from svgd_onnx.conversion.data_parallel import NOT_PARALLEL, check_data_parallel
from svgd_onnx.conversion.description import describe
from svgd_onnx.conversion.encapsulation import (
    check_differentiator,
    differentiator_for,
    virtual_gradients,
    with_reductions,
)
from svgd_onnx.conversion.garbage import garbage_kept
from svgd_onnx.conversion.keywords import keywords_of, take
from svgd_onnx.conversion.loss_terms import loss_files
from svgd_onnx.conversion.map_types import save_with_maps
from svgd_onnx.conversion.model import model_at_fault, require_model
from svgd_onnx.conversion.options import TrainingSettings, UpdateSettings
from svgd_onnx.conversion.parameter_update import update_of
from svgd_onnx.conversion.plan import TrainingPlan, plan_training
from svgd_onnx.conversion.verification import made_up_example
from svgd_onnx.conversion.verification import verify as verify_artifacts
from svgd_onnx.errors import Advice, UserError, check_range
from svgd_onnx.files import PathLike, followed, require_room, require_text, whole_folder
from svgd_onnx.hashes import sha256
from svgd_onnx.manifest import DataParallel, Manifest
from svgd_onnx.runtime import custom_op_library, has_custom_op_library
from svgd_onnx.step_names import unquoted
from svgd_onnx.targets import target_here, target_named
from svgd_onnx.targets.artifact_files import foreign
from svgd_onnx.targets.graphs import TrainingGraphs
from svgd_onnx.targets.target import MERGED_MODEL_WITHOUT_WEIGHTS, MODEL_WITHOUT_WEIGHTS, Target
from svgd_onnx.transforms.data_parallel import EXACT, DataParallelSettings
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.recompute import SplitSequences
from svgd_onnx.transforms.virtualize import (
    GradientNorms,
    L1Regularization,
    ParameterUse,
    VirtualGradientSettings,
)
from svgd_onnx.transforms.virtualize.settings import FUSED, GRAPH, PORTABLE

# From so many bytes on a model is let go of before what was made of it is verified; to find it takes time.
_LARGE = 1 << 24


@keywords_of(
    TrainingSettings,
    VirtualGradientSettings,
    UpdateSettings,
    ComputeSettings,
    DataParallelSettings,
)
def convert(
    model: PathLike | onnx.ModelProto,
    output: PathLike,
    *,
    target: str | None = None,
    accumulation_steps: int = 1,
    recompute: bool = False,
    gradient_norms: bool = False,
    force: bool = False,
    verify: bool = True,
    random_size: Mapping[str, int] | None = None,
    external_data: PathLike | None = None,
    finish: Callable[[Path, Manifest], object] | None = None,
    **settings: Any,
) -> Manifest:
    """Makes a folder of training artifacts from an exported ONNX model.

    For the target ort-training the folder holds `training_model.onnx`, `eval_model.onnx`,
    `optimizer_model.onnx` and `checkpoint`, which are what onnxruntime's own training API loads. For the
    target onnx it holds `training_step.onnx`, `eval_model.onnx` and `checkpoint.safetensors`. In both are
    `model_without_weights.onnx`, which `export` puts trained parameters into, and `svgd.json`. A fast form of
    the step lies beside it, `training_model.fast.onnx` or `training_step.fast.onnx`, where the operator library
    is installed and has operators for the model, and T is not asked to be portable.

    Args:
        model: an ONNX file, or the model itself.
        output: the folder to make.
        target: "ort-training" for onnxruntime's training session, "onnx" for one step as a model of
            standard operators, which any onnxruntime runs; None for the former where onnxruntime-training is
            installed, else the latter.
        accumulation_steps: batches of a step, over which gradients are averaged.
        recompute: whether segments of the forward pass are computed again in the backward pass, instead of
            kept for it: less memory, more time, the same numbers.
        gradient_norms: whether a step also gives the norm of each parameter's gradient, without T and with it,
            as `Trainer.gradient_norms` and TensorBoard show them; where T is not a factor for each channel, the
            gradient without it is computed for that alone.
        force: whether to replace a folder that is not empty.
        verify: whether to run what was made on made-up data, and hold its gradients against its loss.
        random_size: of open axes of the made-up data, by the axis's name or a glob.
        external_data: the folder with the files that a model in memory names for tensors, none of which may
            lie outside of it; a model that is a file has them beside it.
        finish: called at the end with the new folder, which is not in its place yet, and what is returned: what
            it writes there appears with all else.
        **settings: the fields of `TrainingSettings` (what is trained), `VirtualGradientSettings` (T),
            `UpdateSettings` (the optimizer), `ComputeSettings` (float16) and `DataParallelSettings` (several
            ranks), each a keyword, with what it means and its default.

    Returns:
        The manifest that was written as `svgd.json`.

    Raises:
        UserError: the model, an option or the output folder is at fault, or what was made is not right.
            Nothing is written then.

    Example:
        >>> manifest = svgd_onnx.convert("model.onnx", "new", optimizer="adamw", freeze=["*.bias"])
        >>> manifest.update, sorted(each.name for each in manifest.parameters if each.trainable)
        ('adamw', ['fc1.weight', 'fc2.weight'])
    """
    training, virtual_gradient, update, parallel = _checked(settings)
    compute = take(ComputeSettings, settings)
    compute.check()
    idle = [
        *idle_options.of_t(virtual_gradient, update),
        *idle_options.of_verification(verify, random_size),
    ]
    virtual_gradient = _as_used(virtual_gradient, training, update)
    target = target_here() if target is None else target
    runtime = target_named(target)
    check_range("accumulation_steps", accumulation_steps, accumulation_steps >= 1, "1 or more")
    compute.check_target(runtime, accumulation_steps, gradient_norms)
    runtime.require()
    check_data_parallel(
        parallel,
        target,
        training,
        virtual_gradient,
        gradient_norms=gradient_norms,
    )
    t_kernel = _t_kernel(virtual_gradient, update, runtime)
    fast = compute.scale is None and _may_be_fast(virtual_gradient, update, runtime)
    require_model(model)
    _check_apart([model, *loss_files(training)], output)
    with (
        whole_folder(Path(output), force=force, foreign=foreign) as folder,
        garbage_kept(),
        model_at_fault(model),
    ):
        plan = plan_training(model, training, external_data=external_data)
        idle_options.warn_of([*idle, *idle_options.of_model(plan, training)])
        _check_data_apart(plan, output)
        changes = update_of(plan, update, accumulation_steps, compute.scale)
        size = sum(value.nbytes for value in plan.values.values())
        require_room(folder, size, Path(output))
        if recompute:
            SplitSequences()(plan.forward)
        wanted = differentiator_for(runtime, training.differentiator)
        gradients, uses, differentiator = virtual_gradients(
            plan,
            virtual_gradient,
            wanted,
            factors_last=parallel.data_parallel and parallel.r == EXACT,
        )
        idle_options.warn_of_no_t(uses, update)
        half = compute.begin(plan, gradients)
        if gradient_norms:
            GradientNorms(plan.selection.trainable)(gradients)
        if update.l1 > 0:
            L1Regularization(plan.selection.decayed, update.l1)(gradients)
        manifest = describe(
            plan,
            uses,
            virtual_gradient,
            update,
            target=target,
            t_kernel=t_kernel,
            accumulation_steps=accumulation_steps,
            differentiator=differentiator,
            recompute=recompute,
        )
        if gradient_norms:
            manifest.gradient_norms = list(map(unquoted, plan.selection.trainable))
        if plan.exported.obstacle is not None:
            warnings.warn(
                Advice(
                    "What is exported will be the model's canonical form, not the model as it came: "
                    f"{plan.exported.obstacle}."
                ),
                stacklevel=3,
            )
        manifest.compute, manifest.loss_scale = compute.compute, str(compute.scale or "")
        graphs = training_graphs(
            plan, gradients, uses, manifest, changes, fast=fast, data_parallel=parallel
        )
        plan.beside.check()
        try:
            written = runtime.write(folder, replace(graphs, half=half))
        finally:
            plan.beside.check()  # else what is written is of two models
        manifest.states, manifest.directs = written.states, written.directs
        if written.pieces:
            manifest.data_parallel = DataParallel(written.pieces, parallel.r, parallel.batch_norm)
        save_with_maps(plan.exported.model, folder / MODEL_WITHOUT_WEIGHTS)
        if plan.merged is not None:
            save_with_maps(plan.merged.model, folder / MERGED_MODEL_WITHOUT_WEIGHTS)
        manifest.files = {file.name: sha256(file) for file in sorted(folder.glob("*.onnx"))}
        sources = plan.files
        if verify and (example := made_up_example(manifest, plan, random_size)):
            del plan, gradients, uses  # for room: all that is verified is in the folder
            if size >= _LARGE:
                gc.collect()
            verify_artifacts(folder, manifest, example)
        if sources:
            beside = sources[0].parent
            manifest.source = {
                file.relative_to(beside).as_posix(): sha256(file) for file in sources
            }
        manifest.save(folder)
        if finish is not None:
            finish(folder, manifest)
    return manifest


def training_graphs(
    plan: TrainingPlan,
    gradients: ir.Model,
    uses: Sequence[ParameterUse],
    manifest: Manifest,
    update: Update,
    *,
    fast: bool,
    data_parallel: DataParallelSettings = NOT_PARALLEL,
) -> TrainingGraphs:
    """What a target writes artifacts from.

    Args:
        plan: of the model.
        gradients: the gradient graph with T in it.
        uses: sigma-prime.
        manifest: of the artifacts.
        update: of parameters.
        fast: whether a form of fast kernels may lie beside the step.
        data_parallel: whether the step may run on several ranks.
    """
    return TrainingGraphs(
        training=gradients,
        evaluation=plan.evaluation,
        inputs=plan.inputs,
        batch=[*plan.inputs, *(label.name or "" for label in plan.labels)],
        own_names=plan.own_names,
        selection=plan.selection,
        values=plan.values,
        states={use.state: use.state_shape for use in uses if use.state is not None},
        portable=manifest.t_kernel == PORTABLE,
        update=update,
        differentiator=manifest.differentiator,
        recompute=manifest.recompute,
        fast=fast,
        data_parallel=data_parallel,
    )


def _checked(
    settings: dict[str, Any],
) -> tuple[TrainingSettings, VirtualGradientSettings, UpdateSettings, DataParallelSettings]:
    training = take(TrainingSettings, settings)
    virtual_gradient = take(VirtualGradientSettings, settings)
    update = take(UpdateSettings, settings)
    parallel = take(DataParallelSettings, settings)
    for each in (training, virtual_gradient, update, parallel):
        each.check()
    return training, virtual_gradient, update, parallel


def _as_used(
    virtual_gradient: VirtualGradientSettings, training: TrainingSettings, update: UpdateSettings
) -> VirtualGradientSettings:
    """T's settings as they come to effect."""
    if not update.adapts:
        virtual_gradient = replace(virtual_gradient, t_scope=(), encapsulation=GRAPH)
    reductions = {each.settings.reduction for each in training.losses.values()}
    virtual_gradient = with_reductions(virtual_gradient, reductions)
    check_differentiator(virtual_gradient, training.differentiator)
    return virtual_gradient


def _check_apart(read: Sequence[PathLike | onnx.ModelProto], output: PathLike) -> None:
    """Refuses to replace the folder that a model, or a loss, lies in, and a name that nothing could open."""
    folder = argument_types.path("output", output)
    require_text(folder)
    folder = followed(folder)
    for file in read:
        if not isinstance(file, onnx.ModelProto) and folder in followed(Path(file)).parents:
            raise UserError(
                f"'{file}' lies in the folder '{output}', which would be replaced by what is made: choose "
                "another."
            )


def _check_data_apart(plan: TrainingPlan, output: PathLike) -> None:
    """As `_check_apart`, of external data."""
    folder = followed(Path(output))
    for tensor in plan.values.values():
        if isinstance(tensor, ir.ExternalTensor) and folder in followed(Path(tensor.path)).parents:
            raise UserError(
                f"'{tensor.path}', which holds weights of the model, lies in the folder '{output}', which "
                "would be replaced by what is made: choose another."
            )


def _t_kernel(
    virtual_gradient: VirtualGradientSettings, update: UpdateSettings, target: Target
) -> str:
    """Which T: as asked for, or the target's default."""
    t_kernel = virtual_gradient.t_kernel or target.t_kernel
    if t_kernel != FUSED or not update.adapts:
        return t_kernel
    if virtual_gradient.t_kernel is None and not has_custom_op_library():
        return PORTABLE
    custom_op_library()  # refuses where there is none
    return t_kernel


def _may_be_fast(
    virtual_gradient: VirtualGradientSettings, update: UpdateSettings, target: Target
) -> bool:
    """Whether a step of fast kernels may lie beside that of standard operators.

    Warns:
        that the library for it is missing.
    """
    if update.adapts and virtual_gradient.t_kernel == PORTABLE:
        return False
    if has_custom_op_library():
        return True
    of_t = (
        "T is made of standard operators, and "
        if update.adapts and target.t_kernel == FUSED
        else ""
    )
    warnings.warn(
        Advice(
            f"The custom operator library is not installed, as where there is no C++ compiler: {of_t}the "
            "step of fast kernels is left out. The numbers are the same but for rounding, and a step of a "
            "convolutional network takes two to three times as long."
        ),
        stacklevel=4,
    )
    return False
