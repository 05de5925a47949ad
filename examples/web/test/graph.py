"""Writes pages of training graphs for the browser tests into build/web: `python examples/web/test/graph.py`.

graph_hostile.html   a model in which all names are markup
graph_gpt2.html      GPT-2's graph at its depth; its weights are narrow, since they are not in a page
graph_resnet50.html  ResNet-50's
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

import svgd_onnx  # noqa: E402
from tools.usual_models import gpt2, resnet50  # noqa: E402

MADE = ROOT / "build" / "web"
MARKUP = ("</script><script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "<b>bold</b>")


def main() -> None:
    """Writes them all."""
    MADE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        onnx.save(hostile_model(), model)
        svgd_onnx.write_graph_page(model, MADE / "graph_hostile.html", target="onnx")
        gpt2.write(model, width=48, vocabulary=500)
        of_tokens = svgd_onnx.LossSettings(class_axis=2)
        page = MADE / "graph_gpt2.html"
        svgd_onnx.write_graph_page(model, page, target="onnx", loss_settings=of_tokens)
        resnet50.write(model)
        svgd_onnx.write_graph_page(model, MADE / "graph_resnet50.html", target="onnx")


def hostile_model() -> onnx.ModelProto:
    """image (N, 4) -> logits (N, 4), through products that are called like markup."""
    nodes, weights, value = [], [], "image"
    for name in MARKUP:
        weights.append(numpy_helper.from_array(np.eye(4, dtype=np.float32) + 0.1, f"weight {name}"))
        nodes.append(
            helper.make_node("MatMul", [value, f"weight {name}"], [f"value {name}"], name=name)
        )
        value = f"value {name}"
    nodes.append(helper.make_node("Softmax", [value], ["probabilities"], name="softmax"))
    inputs, outputs = (
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ("N", 4))]
        for name in ("image", "probabilities")
    )
    graph = helper.make_graph(nodes, "hostile", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


if __name__ == "__main__":
    main()
