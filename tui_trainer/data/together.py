"""The same work on many items, by a few threads, in the order of the items. No torch here."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tui_trainer.loader_facts import usable_cpus

MOST = 8  # threads; each may hold a large image
R = TypeVar("R")


def together(work: Callable[[int], R], items: Sequence[int], chunk: int) -> Iterator[tuple[int, R]]:
    """Each item and what became of it; closing the generator ends the work after what is at hand.

    `chunk` items are a task, so that handing them over costs little. Few items are worked on here.
    """
    workers = min(usable_cpus(), MOST)
    if workers == 1 or len(items) <= chunk:
        yield from ((item, work(item)) for item in items)
        return
    stopped, pending = threading.Event(), deque[Future[list[tuple[int, R]]]]()

    def some(part: Sequence[int]) -> list[tuple[int, R]]:
        return [(item, work(item)) for item in part if not stopped.is_set()]

    with ThreadPoolExecutor(workers, "look") as pool:
        try:
            for first in range(0, len(items), chunk):
                pending.append(pool.submit(some, items[first : first + chunk]))
                if len(pending) > 2 * workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            stopped.set()
            for task in pending:
                task.cancel()
