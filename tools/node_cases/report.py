"""What came of the sweep: a table by operator, a summary by builder, all outcomes as a file."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from rich.table import Table

from tools.node_cases.outcome import Kind, Outcome

# What stands in a cell of the table by operator, in this order.
_LETTERS = {
    Kind.RIGHT: "",
    Kind.REFUSED: "r",
    Kind.UNNAMED: "u",
    Kind.WRONG: "W",
    Kind.TRACEBACK: "T",
    Kind.CRASH: "C",
}
_WORST_FIRST = list(Kind)


def worst(outcomes: Iterable[Outcome]) -> Kind:
    """What became of a case, of what became of its inputs."""
    return min((each.kind for each in outcomes), key=_WORST_FIRST.index)


def by_case(outcomes: Iterable[Outcome]) -> dict[tuple[str, str, str], list[Outcome]]:
    """Outcomes of each operator, case and builder."""
    found: dict[tuple[str, str, str], list[Outcome]] = {}
    for each in outcomes:
        found.setdefault((each.operator, each.case, each.builder), []).append(each)
    return found


def operator_table(outcomes: Sequence[Outcome], builders: Sequence[str]) -> Table:
    """For each operator and builder how many cases came to what: 5 1r 2W."""
    table = Table(title="cases by operator: right; r refused, u refused without a name, W wrong, "
                  "T traceback, C crash")  # fmt: skip
    for column in ("operator", "cases", *builders):
        table.add_column(column, justify="left" if column == "operator" else "right")
    counts: dict[str, dict[str, Counter[Kind]]] = {}
    for (operator, _, builder), each in by_case(outcomes).items():
        counter = counts.setdefault(operator, {}).setdefault(builder, Counter())
        counter[worst(each)] += 1
    for operator in sorted(counts, key=str.lower):
        cells = [counts[operator].get(builder, Counter()) for builder in builders]
        if all(set(cell) <= {Kind.NOT_APPLICABLE} for cell in cells):
            continue
        shown = [
            " ".join(f"{cell[kind]}{letter}" for kind, letter in _LETTERS.items() if cell[kind])
            for cell in cells
        ]
        table.add_row(operator, str(sum(cells[0].values())), *shown)
    return table


def summary_table(outcomes: Sequence[Outcome], builders: Sequence[str]) -> Table:
    """For each builder how many cases, and inputs of cases, came to what."""
    table = Table(title="by builder: cases, and inputs of cases")
    table.add_column("builder")
    table.add_column("of")
    for kind in Kind:
        table.add_column(kind.value, justify="right")
    for builder in builders:
        own = [each for each in outcomes if each.builder == builder]
        cases = Counter(worst(each) for each in by_case(own).values())
        inputs = Counter(each.kind for each in own if each.input)
        for what, counts in (("cases", cases), ("inputs", inputs)):
            table.add_row(builder, what, *(str(counts[kind]) for kind in Kind))
    return table


def reasons_table(outcomes: Sequence[Outcome], builder: str) -> Table:
    """Why cases, or inputs of cases, are not applicable."""
    table = Table(title=f"not applicable ({builder})")
    table.add_column("reason")
    table.add_column("cases or inputs", justify="right")
    reasons = Counter(
        each.detail.split(":")[0]
        for each in outcomes
        if each.builder == builder and each.kind == Kind.NOT_APPLICABLE
    )
    for reason, count in reasons.most_common():
        table.add_row(reason, str(count))
    return table


def write(path: Path, outcomes: Sequence[Outcome]) -> None:
    """All outcomes, as JSON or else as CSV."""
    rows = [{**asdict(each), "kind": each.kind.value} for each in outcomes]
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1) + "\n")
        return
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Outcome)])
        writer.writeheader()
        writer.writerows(rows)
