"""The memory of a step that has not been written yet: of a model that is inspected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from svgd_onnx.conversion.convert import training_graphs
from svgd_onnx.conversion.description import describe
from svgd_onnx.conversion.memory.estimate import MemoryEstimate, estimate_memory
from svgd_onnx.conversion.options import UpdateSettings
from svgd_onnx.conversion.parameter_update import update_of
from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.files import temporary_folder
from svgd_onnx.runtime import has_custom_op_library
from svgd_onnx.targets import target_named
from svgd_onnx.transforms.virtualize import ParameterUse, VirtualGradientSettings
from svgd_onnx.transforms.virtualize.settings import PORTABLE


def estimate_of_model(
    plan: TrainingPlan,
    gradients: ir.Model,
    uses: Sequence[ParameterUse],
    maker: str,
    virtual_gradient: VirtualGradientSettings,
    target: str,
    sizes: Mapping[str, int] | None,
) -> MemoryEstimate:
    """Writes a model's artifacts, without its weights and for a moment, and estimates from these.

    Args:
        plan: of the model; not to be trained from afterwards.
        gradients: its gradient graph with T in it; neither.
        uses: sigma-prime.
        maker: who made the gradients, a key of `DIFFERENTIATORS`.
        virtual_gradient: T.
        target: whose artifacts.
        sizes: of open axes other than that of examples.

    Raises:
        UserError: the target cannot be written, or the memory does not follow from the graph.
    """
    runtime, library = target_named(target), has_custom_op_library()
    t_kernel = virtual_gradient.t_kernel or (runtime.t_kernel if library else PORTABLE)
    update = UpdateSettings()
    manifest = describe(
        plan,
        uses,
        virtual_gradient,
        update,
        target=target,
        t_kernel=t_kernel,
        accumulation_steps=1,
        differentiator=maker,
        recompute=False,
    )
    fast = library and virtual_gradient.t_kernel != PORTABLE
    changes = update_of(plan, update, 1)
    graphs = training_graphs(plan, gradients, uses, manifest, changes, fast=fast)
    none = ir.tensor(np.zeros(0, np.float32))
    with temporary_folder() as folder:
        written = runtime.write(folder, replace(graphs, values=dict.fromkeys(graphs.values, none)))
        manifest.states, manifest.directs = written.states, written.directs
        return estimate_memory(folder, manifest, sizes)
