"""How many threads a session has where a process may not run on every core."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from svgd_onnx.threads import session_threads


@pytest.fixture
def one_core() -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system binds no process to cores")
    cores = os.sched_getaffinity(0)
    if (os.cpu_count() or 1) == 1:
        pytest.skip("there is one core")
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


def test_onnxruntime_chooses_where_a_process_may_run_on_all_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert session_threads() == 0
    assert session_threads(2) == 2


@pytest.mark.usefixtures("one_core")
def test_a_process_that_is_bound_to_one_core_has_one_thread() -> None:
    assert session_threads() == 1
    assert session_threads(2) == 2  # who asks for it has it
