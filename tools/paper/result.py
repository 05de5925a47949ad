"""The file of one run: its settings on the first line, then a CSV row for each test."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from svgd_onnx.errors import UserError
from svgd_onnx.files import whole_file


@dataclass(frozen=True)
class Test:
    """A row: how the network does after a step. Errors are fractions.

    Attributes:
        step: how many steps were done.
        training_loss: mean loss of the batches since the last row, without the L1 penalty.
        batch_loss: test loss, BatchNormalization taking the statistics of the test images.
        batch_error: test error, the same.
        running_loss: test loss with running statistics.
        running_error: test error, the same.
    """

    __test__ = False  # pytest takes it for a test otherwise

    step: int
    training_loss: float
    batch_loss: float
    batch_error: float
    running_loss: float
    running_error: float


@dataclass
class Result:
    """A run as far as it has come.

    Attributes:
        settings: what the numbers depend on, by name.
        tests: the rows.
        seconds: of training, without tests.
        r_below_epsilon: share of the entries of r below epsilon after the last row; None without T.
        median_factor: median of s/sqrt(r + epsilon) after the last row: 1 is T = identity; None without
            T.
        operations: these two for each operation that T acts on, by its parameter.
    """

    settings: dict[str, Any]
    tests: list[Test] = field(default_factory=list)
    seconds: float = 0.0
    r_below_epsilon: float | None = None
    median_factor: float | None = None
    operations: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the last step was tested."""
        return bool(self.tests) and self.tests[-1].step == self.settings["steps"]

    def forget_after(self, step: int) -> None:
        """Drops the rows of steps that were lost with an interruption."""
        self.tests = [test for test in self.tests if test.step <= step]

    def save(self, path: Path) -> None:
        """Writes the file, all at once.

        Raises:
            UserError: it cannot be written.
        """
        head = asdict(self)
        del head["tests"]
        with whole_file(path) as temporary, temporary.open("w", newline="") as file:
            file.write(f"# {json.dumps(head)}\n")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(column.name for column in fields(Test))
            for test in self.tests:
                step, *values = asdict(test).values()
                writer.writerow([step, *(f"{value:.6g}" for value in values)])

    @classmethod
    def load(cls, path: Path) -> Result:
        """Reads the file.

        Raises:
            UserError: it is none.
        """
        try:
            head, *table = path.read_text().splitlines()
            tests = [
                Test(int(row.pop("step")), **{name: float(value) for name, value in row.items()})
                for row in csv.DictReader(table)
            ]
            return cls(tests=tests, **json.loads(head.lstrip("# ")))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"'{path}' is no result of a run ({error}): delete it.") from error
