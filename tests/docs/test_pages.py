"""The code of the tutorial, of the how-to pages and of the README runs as it stands.

In a page, `bash` holds commands of this program, `python` runs with the names of the blocks before it, and each
word of `text` is one that the commands have written. What is not run says why, in a comment before the block.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import page_folders
import pytest
from conftest import Run

from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.differentiate.gradients import GRADIENTS
from svgd_onnx.transforms.optimizers import OPTIMIZERS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "docs/tutorial.md",
    *sorted(f"docs/howto/{path.name}" for path in ROOT.glob("docs/howto/*.md")),
]
_BLOCK = re.compile(
    r"(<!-- not run[^:>]*: [^>]+ -->\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a page is followed. What it puts into a table is gone afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    tables: list[dict[str, Any]] = [GRADIENTS, OPTIMIZERS, TARGETS]
    before = [dict(table) for table in tables]
    yield tmp_path
    for table, entries in zip(tables, before):
        table.clear()
        table.update(entries)


def blocks(text: str) -> list[tuple[str, str]]:
    """The language and the text of each block that is to be run."""
    return [(language, block) for excuse, language, block in _BLOCK.findall(text) if not excuse]


def commands(text: str) -> list[list[str]]:
    """Command lines, which may go on after a backslash and end in a comment."""
    return [
        shlex.split(line, comments=True)
        for line in text.replace("\\\n", " ").splitlines()
        if line.strip()
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, folder: Path, run: Run) -> None:
    page_folders.PREPARED.get(Path(page).stem, lambda: None)()
    names: dict[str, Any] = {"__name__": page}
    written = ""
    for language, text in blocks((ROOT / page).read_text()):
        if language == "bash":
            for program, *arguments in commands(text):
                assert program == "svgd-onnx", text
                outcome = run(*arguments)
                assert outcome.code == 0, outcome.err
                written += outcome.out
        elif language == "python":
            exec(compile(text, page, "exec"), names)
        elif language == "text":
            missing = set(re.findall(r"[a-z]{3,}", text)) - set(re.findall(r"[a-z]{3,}", written))
            assert not missing, f"{missing} is not in {written}"


def test_a_page_says_why_what_it_does_not_run() -> None:
    for page in PAGES:
        for excuse, language, _ in _BLOCK.findall((ROOT / page).read_text()):
            assert excuse or language in ("bash", "python", "text"), f"{page}: {language}"


def test_the_readme_does_what_it_says(folder: Path, run: Run) -> None:
    page_folders.digits()
    text = (ROOT / "README.md").read_text()
    lines = re.findall(r"^    (svgd-onnx .*)$", text, re.MULTILINE)
    assert len(lines) > 5
    for _, *arguments in commands("\n".join(lines)):
        outcome = run(*arguments)
        assert outcome.code == 0, outcome.err
    (script,) = re.findall(r"^    import svgd_onnx\n(?:    .*\n|\n)+", text, re.MULTILINE)
    exec(re.sub(r"^    ", "", script, flags=re.MULTILINE), page_folders.arrays())
