"""How fast a run is and how long it will take. Time spent paused does not count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Pace:
    """Seconds trained, images per second, and the time left with validation included."""

    def __init__(self, seconds: float = 0.0, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._before = seconds
        self._started = clock()
        self._paused_at: float | None = None
        self._mark = (self.seconds, 0)
        self._waited = 0.0
        self.waited = 0.0  # seconds for batches, in all
        self._waited_since = self.seconds
        self._rates: dict[str, float] = {}  # part -> images per second, averaged over recent reads

    @property
    def seconds(self) -> float:
        """Seconds trained so far."""
        now = self._clock() if self._paused_at is None else self._paused_at
        return self._before + now - self._started

    @property
    def here(self) -> float:
        """The same without what was trained before this process."""
        return self.seconds - self._before

    def pause(self) -> None:
        """Stop counting."""
        self._paused_at = self._clock()

    def resume(self) -> None:
        """Count again."""
        if self._paused_at is not None:
            self._started += self._clock() - self._paused_at
            self._paused_at = None

    def begin(self, samples: int = 0) -> None:
        """A part (training, validation) begins here, with `samples` of it done before."""
        self._mark = (self.seconds, samples)

    def waiting(self, batches: Iterable[T]) -> Iterator[T]:
        """The same batches; the time until each comes counts as waiting for data."""
        source = iter(batches)
        while True:
            before = self._clock()
            try:
                batch = next(source)
            except StopIteration:
                return
            waited = self._clock() - before
            self._waited, self.waited = self._waited + waited, self.waited + waited
            yield batch

    def data_wait(self) -> float:
        """Share of the time since the last call that was spent waiting for data, in [0, 1]."""
        now = self.seconds
        share = self._waited / (now - self._waited_since) if now > self._waited_since else 0.0
        self._waited, self._waited_since = 0.0, now
        return min(1.0, share)

    def measure(self, part: str, samples: int) -> float:
        """Images per second of `part`, of which `samples` are done; smoothed over a few calls."""
        seconds, before = self._mark
        now = self.seconds
        if now > seconds and samples > before:
            rate = (samples - before) / (now - seconds)
            known = self._rates.get(part)
            self._rates[part] = rate if known is None else 0.7 * known + 0.3 * rate
            self._mark = (now, samples)
        return self._rates.get(part, 0.0)

    def left(self, train_samples: float, val_samples: float) -> float:
        """Seconds that so many samples will take; validation is taken as twice as fast until measured."""
        train = self._rates.get("train", 0.0)
        val = self._rates.get("val", 2 * train)
        if not train and not val:
            return 0.0
        return train_samples / (train or val) + val_samples / val
