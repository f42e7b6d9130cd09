"""Something slow in a thread of its own, while the screens are shown: what it yields waits in an inbox."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from tui_trainer.config import Config
from tui_trainer.errors import UserError
from tui_trainer.loader_facts import Facts, FirstBatch, Measurement
from tui_trainer.text import display
from tui_trainer.tune_facts import Trial

T = TypeVar("T")
Tell = Callable[[str], None]


class Background(Generic[T]):
    """One piece of work, which can be given up between two of the values that it yields.

    `work` gets a function that it tells what it is doing. It begins when `after` has ended, so that
    two measurements never run at the same time.
    """

    def __init__(
        self,
        work: Callable[[Tell], Iterator[T]],
        config: Config,
        after: Background[Any] | None = None,
    ) -> None:
        self.doing, self.error = "", ""
        self.config = config  # what it is about
        self._work, self._after = work, after
        self._cancelled = threading.Event()
        self._inbox: deque[T] = deque()
        self._thread = threading.Thread(target=self._run, name="measuring", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    @property
    def cancelled(self) -> bool:
        """Whether it was given up."""
        return self._cancelled.is_set()

    def drain(self) -> list[T]:
        """What has come since the last call."""
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def cancel(self) -> None:
        """Give it up soon; worker processes end with it."""
        self._cancelled.set()

    def join(self, seconds: float) -> None:
        """Give it up and wait."""
        self.cancel()
        self._thread.join(seconds)

    def _tell(self, text: str) -> None:
        self.doing = text

    def _run(self) -> None:
        if self._after is not None:
            self._after._thread.join()
        if self.cancelled:
            return
        values = self._work(self._tell)
        try:
            for value in values:
                self._inbox.append(value)
                if self._cancelled.is_set():
                    break
        except Exception as error:
            self.error = _in_words(error, self.config)
        finally:
            self._after = None
            if close := getattr(values, "close", None):
                close()


def look_at_data(config: Config, after: Background[Any] | None = None) -> Background[Facts]:
    """What the loader options act on."""

    def work(tell: Tell) -> Iterator[Facts]:
        from tui_trainer.tune import facts

        yield facts(config)

    return Background(work, config, after)


def measure_rates(config: Config, after: Background[Any] | None = None) -> Background[Measurement | Trial]:
    """The speed with each number of threads and workers, and in 16 bits."""

    def work(tell: Tell) -> Iterator[Measurement | Trial]:
        from tui_trainer.heap import give_back
        from tui_trainer.search import search

        try:
            yield from search(config, tell=tell)
        finally:
            give_back()

    return Background(work, config, after)


def read_first_batch(config: Config, after: Background[Any] | None = None) -> Background[FirstBatch]:
    """The first batch of the first epoch."""

    def work(tell: Tell) -> Iterator[FirstBatch]:
        from tui_trainer.tune import first_batch

        tell("reading the first batch")
        yield first_batch(config)

    return Background(work, config, after)


def _in_words(error: Exception, config: Config) -> str:
    if isinstance(error, UserError):
        return str(error)
    from tui_trainer.failures import in_words

    if known := in_words(error, config):
        return str(known)
    logging.getLogger("tui_trainer").error("A bug ended a measurement", exc_info=error)
    return f"This is a bug: {display(f'{type(error).__name__}: {error}', 300)}"
