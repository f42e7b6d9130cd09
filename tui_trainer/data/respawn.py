"""A worker that is killed or hangs is replaced once an epoch: batches have addresses, so that they go on exactly."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.process import BaseProcess
from typing import TypeVar

from tui_trainer.errors import TrainingError
from tui_trainer.text import display

T = TypeVar("T")
AUTO_TIMEOUT = 600.0  # seconds after which a batch never comes; longer than a slow disk takes for one
LOOK = 5.0  # seconds between two looks whether the worker processes are alive
TIMED_OUT, ENDED = "DataLoader timed out", "DataLoader worker (pid"  # what a worker's work raises begins with "Caught"


class Workers:
    """The worker processes of one loader, as far as they are known from outside of it."""

    def __init__(self) -> None:
        self._started: set[BaseProcess] = set()

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """What is started meanwhile is this loader's.

        DataLoader sets a handler of SIGCHLD that raises wherever the program is when a worker ends, in the midst of
        a step too; it is taken away again, and the loss is seen when the next batch is asked for.
        """
        before, handler = set(multiprocessing.active_children()), signal.getsignal(signal.SIGCHLD)
        try:
            yield
        finally:
            now = set(multiprocessing.active_children())
            self._started = (self._started & now) | (now - before)  # one that has ended holds pipes until it is let go
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGCHLD, handler)

    def kill(self) -> None:
        """End all that are left, hung or not."""
        for worker in self._started:
            with contextlib.suppress(ValueError):  # closed already
                worker.kill()
        self._started.clear()


def lasting(
    opened: Callable[[int], Iterable[T]],
    start: int,
    renew: Callable[[], None],
    patience: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[int, T, tuple[str, ...]]]:
    """The batches after the first `start`, each with its number and what there is to tell.

    `opened` gives the batches after so many. Where a worker is lost, or a batch does not come in `patience` seconds,
    `renew` is called, and they are opened again at the same batch, once.

    Raises:
        TrainingError: a worker was lost again.
    """
    count, lost, told = start, False, tuple[str, ...]()
    batches: Iterator[T] | None = None
    while True:
        since = clock()
        try:
            batches = iter(opened(count)) if batches is None else batches
            batch = _waited_for(batches, since + patience, clock)
        except (RuntimeError, ConnectionError, EOFError) as error:
            if not is_lost(error):
                raise
            batches = None
            renew()  # in any case: a worker that hangs would keep the program from ending
            why = _in_words(error, count + 1, patience)
            if lost:
                raise TrainingError(
                    f"{why}, for the second time in this epoch: try fewer --num-workers, or a longer --timeout; "
                    "--resume goes on."
                ) from error
            lost, told = True, (f"{why}: the workers were started anew at this batch, and nothing is left out.",)
            continue
        if batch is None:
            return
        count += 1
        yield count, batch, told
        told = ()


def _waited_for(batches: Iterator[T], deadline: float, clock: Callable[[], float]) -> T | None:
    """The next batch. DataLoader may be asked again after it has timed out, and looks for dead workers only then."""
    while True:
        try:
            return next(batches, None)
        except RuntimeError as error:
            if not str(error).startswith(TIMED_OUT) or clock() >= deadline:
                raise


def _in_words(error: Exception, number: int, patience: float) -> str:
    if str(error).startswith(TIMED_OUT):
        return f"Batch {number} did not come within {patience:g} s"
    return f"A loader worker ended before batch {number} ({display(error, 200)})"


def is_lost(error: Exception) -> bool:
    """Whether a worker ended or hangs, and not its work failed."""
    if isinstance(error, RuntimeError):
        return str(error).startswith((TIMED_OUT, ENDED))
    return not str(error).startswith("Caught ")
