"""Sizes below zero, which some exporters write for axes that may have any size."""

from __future__ import annotations

import onnx_ir as ir


class OpenNegativeSizes(ir.passes.InPlacePass):
    """Makes axes of a negative size open.

    Ensures: no input, output or value of the graph has a negative size.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        graph = model.graph
        for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
            if value.shape is None:
                continue
            sizes = list(value.shape)
            if any(isinstance(size, int) and size < 0 for size in sizes):
                value.shape = ir.Shape(
                    [None if isinstance(size, int) and size < 0 else size for size in sizes]
                )
                modified = True
        return ir.passes.PassResult(model, modified)
