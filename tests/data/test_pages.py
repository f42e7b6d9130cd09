"""Memory in huge pages where they are quick to get, in small ones where not, and the same bytes in both."""

import mmap
import threading
from typing import Any

import numpy as np
import pytest

from tui_trainer.data import pages
from tui_trainer.data.pages import HUGE, Pages

pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="no huge pages here")


class Spy:
    """The mapping, and what was asked of it."""

    def __init__(self, whole: mmap.mmap, error: Exception | None = None) -> None:
        self.whole, self.error, self.asked = whole, error, list[int]()

    def madvise(self, option: int, at: int, count: int) -> None:
        self.asked.append(at // HUGE)
        if self.error is not None:
            raise self.error
        self.whole.madvise(option, at, count)


def taken(monkeypatch: pytest.MonkeyPatch, slow: float, error: Exception | None = None, count: int = 30) -> Any:
    """Which pages of a memory of so many were asked for as huge ones."""
    monkeypatch.setattr(pages, "SLOW", slow)
    made = Pages(count * HUGE)
    spy = Spy(made._map, error)
    made._map = spy  # type: ignore[assignment]
    for number in range(count):
        made.take(number * HUGE, (number + 1) * HUGE)
        made.take(number * HUGE, number * HUGE + 1)  # of a page once
    return [at - spy.asked[0] for at in spy.asked]


def test_huge_pages_are_taken_while_they_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken(monkeypatch, 1e9) == list(range(30))


def test_after_a_slow_one_more_and_more_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken(monkeypatch, -1.0) == [0, 9, 26]


def test_a_kernel_without_them_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken(monkeypatch, 1e9, OSError()) == [0]


def test_what_threads_write_to_neighbouring_slots_stays() -> None:
    slots, size = 64, HUGE // 5
    made = Pages(slots * size)
    rows = made.memory.numpy().reshape(slots, size)

    def fill(first: int) -> None:
        for slot in range(first, slots, 4):
            made.take(slot * size, (slot + 1) * size)
            rows[slot] = slot + 1

    threads = [threading.Thread(target=fill, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(rows.min(1), np.arange(1, slots + 1))
    assert np.array_equal(rows.max(1), np.arange(1, slots + 1))


def test_none_at_all() -> None:
    assert Pages(0).memory.numel() == 0
