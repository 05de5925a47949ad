"""Batches that are prepared while others are in use: by threads, a few ahead, in their order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

_Task = TypeVar("_Task")
_Made = TypeVar("_Made")


class Prefetched(Generic[_Task, _Made]):
    """What is made of tasks, in their order, each made before it is asked for.

    One for each worker is ready or being made, besides the one that was given last. What a task raises
    is raised where its turn is. Within a `with` block; at its end nothing is begun any more.

    Args:
        make: from a task to what is wanted; called from the workers' threads.
        tasks: asked for in the thread that uses this.
        workers: threads; with 0 all is made when it is asked for.

    Attributes:
        waited: seconds for which the user has waited so far.
    """

    def __init__(
        self, make: Callable[[_Task], _Made], tasks: Iterable[_Task], workers: int
    ) -> None:
        self._make = make
        self._tasks = iter(tasks)
        self._workers = workers
        self._pending: deque[tuple[_Task, Future[_Made]]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self.waited = 0.0

    def __enter__(self) -> Prefetched[_Task, _Made]:
        if self._workers:
            self._pool = ThreadPoolExecutor(self._workers, "svgd-onnx-data")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[tuple[_Task, _Made]]:
        return self

    def __next__(self) -> tuple[_Task, _Made]:
        if self._pool is None:
            task = next(self._tasks)
            started = time.perf_counter()
            made = self._make(task)
        else:
            self._begin(self._pool)
            if not self._pending:
                raise StopIteration
            started = time.perf_counter()
            task, future = self._pending.popleft()
            made = future.result()
            self._begin(self._pool)
        self.waited += time.perf_counter() - started
        return task, made

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        while len(self._pending) < self._workers:
            task = next(self._tasks, None)
            if task is None:
                return
            self._pending.append((task, pool.submit(self._make, task)))
