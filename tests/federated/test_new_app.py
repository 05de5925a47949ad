"""`svgd-onnx federate`: a Flower app as a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer, Run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from svgd_onnx.federated.settings import Settings, settings_of


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config_of(app: Path) -> dict[str, Any]:
    config = tomllib.loads((app / "pyproject.toml").read_text("utf-8"))
    return config["tool"]["flwr"]["app"]


def test_an_app_of_flowers_conventions(run: Run, tmp_path: Path) -> None:
    outcome = run("federate", "My-App2", "--data", "é/t.npz", "--test-data", "t$name.npz", "--json")
    assert outcome.facts["app"] == "My-App2"
    files = {
        str(each.relative_to("My-App2")) for each in Path("My-App2").rglob("*") if each.is_file()
    }
    package = [f"My_App2/{name}.py" for name in ("__init__", "client_app", "server_app")]
    assert files == {"pyproject.toml", "README.md", *package}
    for name in package:
        compile(Path("My-App2", name).read_text("utf-8"), name, "exec")
    app = config_of(Path("My-App2"))
    assert app["components"] == {
        "serverapp": "My_App2.server_app:app",
        "clientapp": "My_App2.client_app:app",
    }
    assert app["config"]["data"] == str(tmp_path / "é" / "t.npz")
    assert app["config"]["test-data"] == str(tmp_path / "t$name.npz")
    assert "$" not in Path("My-App2/README.md").read_text("utf-8")


def test_its_configuration_is_that_of_the_settings(answer: Answer, tmp_path: Path) -> None:
    """Entry by entry, with the same defaults; beside them are those that the app itself reads."""
    answer("federate", "app")
    config = config_of(Path("app"))["config"]
    own = {"data", "test-data", "classes-per-client", "split-seed"}
    names = {name.replace("_", "-") for name in Settings.__dataclass_fields__}
    assert config.keys() == names | own
    assert settings_of(config) == Settings(artifacts=str(tmp_path / "artifacts"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my_app", "is no name of a Flower app"),
        ("2app", "is no name of a Flower app"),
        ("../app", "is no name of a Flower app"),
        ("a" * 33, "is no name of a Flower app"),
        ("flwr", "is a name that Python or a package has already"),
        ("json", "is a name that Python or a package has already"),
        ("class", "is a name that Python or a package has already"),
    ],
)
def test_names_that_are_none(name: str, sentence: str, answer: Answer, tmp_path: Path) -> None:
    assert sentence in answer("federate", name)
    assert not list(tmp_path.iterdir())


def test_nothing_is_replaced(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("app", "file", "link"):
        assert f"'{name}' exists" in answer("federate", name)
    assert {each.name for each in tmp_path.iterdir()} == {"app", "file", "link"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "has no 'artifacts'"),
        ({"artifacts": ""}, "has no 'artifacts'"),
        ({"artifacts": 3}, "'artifacts' is 3, but must be of type str"),
        ({"artifacts": "a", "batch-size": 2.5}, "'batch-size' is 2.5, but must be of type int"),
        ({"artifacts": "a", "batch-size": True}, "'batch-size' is True, but must be of type int"),
        ({"artifacts": "a", "send-r": 1}, "'send-r' is 1, but must be of type bool"),
    ],
    ids=str,
)
def test_settings_that_are_none(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        settings_of(given)


def test_what_a_device_was_started_with_wins() -> None:
    run = {"artifacts": "there", "learning-rate": 1, "data": "x"}
    found = settings_of(run, {"artifacts": "here", "partition-id": 3})
    assert found == Settings(artifacts="here", learning_rate=1.0)
