"""The page of a training graph: one file that asks for nothing, and in which names are text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import models
import onnx
import pytest
from conftest import Run
from models import Network

import svgd_onnx
from svgd_onnx.graph import page

NETRON = pytest.importorskip("netron")

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--<script>",
    "@@script@@",
    "\u202eright to left",
    "https://example.org/x.js",
)


class Page(HTMLParser):
    """The elements of a page, and what its scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._open: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.raw:
            self.raw[tag].append("")
            self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open:
            self.raw[self._open][-1] += data

    @property
    def content(self) -> dict[str, Any]:
        found = json.loads(self.raw["script"][0])
        assert isinstance(found, dict)
        return found


def hostile_model() -> onnx.ModelProto:
    """A model whose nodes, values and parameters are called like markup."""
    network = Network()
    value = "image"
    for name in HOSTILE:
        value = network.node("MatMul", value, network.weight(f"w {name}", 4, 4), output=f"v {name}")
        network.nodes[-1].name = name
    network.node("Identity", value, output="logits")
    return network.model({"image": ("N", 4)}, {"logits": ("N", 4)})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("page")
    onnx.save(models.convolutional(), folder / "model.onnx")
    output = svgd_onnx.write_graph_page(folder / "model.onnx", folder / "graph.html", target="onnx")
    return Page(output.read_text(encoding="utf-8"))


def policy(made: Page) -> str:
    (found,) = [
        each["content"] for tag, each in made.elements if tag == "meta" and "http-equiv" in each
    ]
    return str(found)


class TestNothingLeavesThePage:
    def test_it_names_no_other_file(self, made: Page) -> None:
        named = [
            (tag, name)
            for tag, attributes in made.elements
            for name in attributes
            if name in ("src", "href", "action", "srcset", "poster", "data", "formaction")
        ]
        assert not named
        assert not re.search(r"@import|url\((?!#)", made.raw["style"][0])

    def test_its_policy_allows_its_own_script_and_style_and_nothing_else(self, made: Page) -> None:
        rules = dict(each.strip().split(" ", 1) for each in policy(made).split(";"))
        assert rules["default-src"] == "'none'"
        for kind, text in (("script", made.raw["script"][1]), ("style", made.raw["style"][0])):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert rules[f"{kind}-src"] == f"'sha256-{digest}'"

    def test_its_script_makes_no_markup_of_text(self, made: Page) -> None:
        script = made.raw["script"][1]
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in script


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("hostile")
    onnx.save(hostile_model(), folder / "<b>model.onnx")
    output = svgd_onnx.write_graph_page(folder / "<b>model.onnx", folder / "graph.html")
    return Page(output.read_text(encoding="utf-8"))


class TestHostileNames:
    def test_add_no_element(self, hostile: Page, made: Page) -> None:
        assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in made.elements]

    def test_change_neither_script_nor_style_nor_policy(self, hostile: Page, made: Page) -> None:
        assert hostile.raw["script"][1:] == made.raw["script"][1:]
        assert policy(hostile) == policy(made)

    def test_are_all_there_as_text(self, hostile: Page) -> None:
        names = {node[0] for node in hostile.content["nodes"]}
        assert names >= {name.replace("\u202e", r"\u202e") for name in HOSTILE}


class TestContent:
    def test_nodes_read_and_give_values_by_number(self, made: Page) -> None:
        nodes, values = made.content["nodes"], made.content["values"]
        conv = next(node for node in nodes if node[1] == "Conv")
        assert [values[each][0] for each in conv[5][:2]] == ["image", "conv1.weight"]

    def test_says_which_nodes_are_only_before_t_or_only_with_it(self, made: Page) -> None:
        stages = {node[4]: node[2] for node in made.content["nodes"]}
        assert stages.keys() == {0, 1, 2}
        assert all(node[4] == 1 for node in made.content["nodes"] if node[2] == "T")

    def test_has_the_shape_of_each_r(self, made: Page) -> None:
        values = made.content["values"]
        shapes = {
            values[each["state"]][0]: values[each["state"]][1]
            for each in made.content["operations"]
            if each["state"] >= 0
        }
        assert shapes["svgd.r.conv1.weight"].count("\N{MULTIPLICATION SIGN}") == 2

    def test_holds_no_weights(self, made: Page) -> None:
        assert len(made.raw["script"][0]) < 40_000

    def test_is_the_same_each_time(self, tmp_path: Path) -> None:
        onnx.save(models.residual(), tmp_path / "model.onnx")
        one, other = (
            svgd_onnx.write_graph_page(tmp_path / "model.onnx", tmp_path / name).read_bytes()
            for name in ("one.html", "other.html")
        )
        assert one == other


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(models.mlp(), path)
    return path


class TestTheCommand:
    def test_writes_both_pictures_and_says_so(self, run: Run, model: Path, tmp_path: Path) -> None:
        files = {"html": tmp_path / "graph.html", "svg": tmp_path / "graph.svg"}
        line = [word for name, file in files.items() for word in (f"--{name}", file)]
        facts = run("inspect", model, *line, "--json").facts
        assert {name: facts[name] for name in files} == {
            name: str(each) for name, each in files.items()
        }
        assert all(file.stat().st_size > 1000 for file in files.values())

    def test_shows_what_the_options_make_of_the_model(
        self, run: Run, model: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "graph.html"
        assert run("inspect", model, "--freeze", "fc1.*", "--html", output).code == 0
        values = Page(output.read_text(encoding="utf-8")).content["values"]
        assert {value[0] for value in values if value[2] == "frozen"} >= {"fc1.weight", "fc1.bias"}

    def test_warns_once(self, run: Run, tmp_path: Path) -> None:
        network = Network()
        for weight, output in (("w", "logits"), ("aside", "other")):
            network.node("MatMul", "image", network.weight(weight, 4, 4), output=output)
        shapes = {"logits": ("N", 4), "other": ("N", 4)}
        path = tmp_path / "model.onnx"
        onnx.save(network.model({"image": ("N", 4)}, shapes), path)
        told = run("inspect", path, "--prediction", "logits", "--html", tmp_path / "graph.html").err
        assert told.count("does not depend on 'aside'") == 1

    def test_writes_over_no_input(self, run: Run, model: Path, tmp_path: Path) -> None:
        before = model.read_bytes()
        assert "must end in .html" in run("inspect", model, "--html", model).err
        named = tmp_path / "model.html"
        named.write_bytes(before)
        refused = run("inspect", named, "--html", named)
        assert refused.code == 2 and named.read_bytes() == before

    def test_writes_into_no_folder_of_artifacts(
        self, run: Run, model: Path, tmp_path: Path
    ) -> None:
        run("convert", model, "--output", tmp_path / "made", "--no-verify")
        for path in (tmp_path / "made", tmp_path / "made" / "svgd.json"):
            refused = run("inspect", path, "--html", tmp_path / "made" / "graph.html")
            assert refused.code == 2 and "lies in" in refused.err

    def test_leaves_nothing_where_the_model_is_refused(self, run: Run, tmp_path: Path) -> None:
        path, output = tmp_path / "model.onnx", tmp_path / "graph.html"
        onnx.save(models.obstacles(), path)
        assert run("inspect", path, "--html", output).code == 2
        assert not output.exists()


def test_a_folder_takes_no_options_of_a_model(model: Path, tmp_path: Path) -> None:
    svgd_onnx.convert(model, tmp_path / "made", verify=False)
    with pytest.raises(svgd_onnx.UserError, match="leave out freeze"):
        svgd_onnx.write_graph_page(tmp_path / "made", tmp_path / "graph.html", freeze=["*"])


class TestNetron:
    def test_is_named_where_it_is_missing(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(page.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(svgd_onnx.UserError, match=r"pip install 'svgd-onnx\[graph\]'"):
            svgd_onnx.write_graph_page(model, tmp_path / "graph.html")

    def test_of_another_form_is_refused(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "dagre.js").write_text("export default layout;")
        monkeypatch.setattr(NETRON, "__path__", [str(tmp_path)])
        spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
        monkeypatch.setattr(page.importlib.util, "find_spec", lambda name: spec)
        with pytest.raises(svgd_onnx.UserError, match="another dagre.js"):
            svgd_onnx.write_graph_page(model, tmp_path / "graph.html")

    def test_is_not_needed_for_a_drawing(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(page.importlib.util, "find_spec", lambda name: None)
        assert svgd_onnx.write_graph_drawing(model, tmp_path / "graph.svg").exists()
