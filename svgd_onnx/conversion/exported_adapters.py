"""What is exported of a model with adapters: these added to its weights, or nodes beside them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx_ir as ir

from svgd_onnx.conversion.finetuning import Finetuning
from svgd_onnx.records import Adapter
from svgd_onnx.step_names import unquoted
from svgd_onnx.training.adapters import ALWAYS, NEVER, REQUANTIZED
from svgd_onnx.transforms.emit import ExportedModel, exported_model
from svgd_onnx.transforms.finetune import LowRankAdapters
from svgd_onnx.transforms.stored_types import QUANTIZATION


def merging_of(
    adapters: Sequence[Adapter], graph: ir.Graph, parameters: Collection[str]
) -> dict[str, str]:
    """When export adds each adapter to its weight, by the weight's name.

    Args:
        adapters: all of a model.
        graph: its canonical form.
        parameters: names of what goes into the checkpoint, which is what export has at hand.
    """
    names = {unquoted(name): name for name in parameters}
    merging = {}
    for each in adapters:
        name = names.get(each.weight)
        if name is None:
            merging[each.weight] = NEVER
        else:
            quantized = QUANTIZATION in graph.initializers[name].meta
            merging[each.weight] = REQUANTIZED if quantized else ALWAYS
    return merging


def export_forms(
    source: ir.Model,
    canonical: ir.Model,
    parameters: Sequence[str],
    trained: Collection[str],
    own: Collection[str],
    finetuning: Finetuning,
    merging: dict[str, str],
) -> tuple[ExportedModel, ExportedModel | None]:
    """What `export` puts parameters into; and where quantized weights take in their adapters, if any do.

    Args:
        source: the model as it came, without adapters; it is not to be used afterwards.
        canonical: with them.
        parameters: as of `exported_model`.
        trained: as there.
        own: as there.
        finetuning: the adapters.
        merging: of `merging_of`; all become "never" where the canonical form is exported, which has them.
    """
    names = {unquoted(name): name for name in parameters}

    def form(model: ir.Model, merged: Collection[str]) -> ExportedModel:
        beside = [each for each in finetuning.adapters if merging[each.weight] not in merged]
        within = [each for each in finetuning.adapters if merging[each.weight] in merged]
        LowRankAdapters(beside, finetuning.factors)(model)
        gone = [names[factor] for each in within for factor in (each.down, each.up)]
        return exported_model(model, canonical, parameters, trained, own, gone)

    requantized = source.clone() if REQUANTIZED in merging.values() else None
    exported = form(source, (ALWAYS,))
    if exported.obstacle is not None:
        merging.update(dict.fromkeys(merging, NEVER))
        return exported, None
    return exported, None if requantized is None else form(requantized, (ALWAYS, REQUANTIZED))
