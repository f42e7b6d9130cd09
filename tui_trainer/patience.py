"""Threads of torch spin while they wait on an idle machine, and sleep where somebody else wants the processors.

One that sleeps is woken up in as much time as an operation takes; one that spins keeps the processor from whom it waits
for. libgomp's spin GOMP_SPINCOUNT times, and hardly at all while a process has more of them than there are processors
(see its manual). So there is a team of threads more, which never works, as long as the processors are wanted. No number
depends on it.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from types import TracebackType

import torch

from tui_trainer.idle import PROC, Moment, free_between, now
from tui_trainer.loader_facts import usable_cpus
from tui_trainer.waiting import is_ours

LOOK, CALM = 0.5, 4  # seconds between two looks; looks without others after which threads spin again
WANTED = 0.25  # of a processor that others take
TEAM = 1 << 16  # numbers: the fewest that two threads share


class Patience:
    """A context in which the thread that enters it computes with `threads` threads of torch.

    Whether the processors are free is looked at every half a second; the other threads of Python in this process, such
    as those that decode images, count as others.
    """

    def __init__(self, threads: int) -> None:
        self._threads, self._calm = threads, 0
        self._over, self._watch = (
            threading.Event(),
            threading.Thread(target=self._look_on, name="patience", daemon=True),
        )
        self._team: Team | None = None
        self._mine = threading.get_native_id()

    def __enter__(self) -> Patience:
        if is_ours() and 2 <= self._threads <= usable_cpus() < self._threads + 2 and now().idle is not None:
            self._mine = threading.get_native_id()
            self._watch.start()
            _LOOKING.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Look no more; no thread is left."""
        self._over.set()
        if self._watch.is_alive():
            self._watch.join()

    @property
    def sleeps(self) -> bool:
        """Whether threads sleep when they wait."""
        return self._team is not None

    def _look_on(self) -> None:
        before = self._moment()
        while not self._over.wait(LOOK):
            after = self._moment()
            self.hear(free_between(before, after))
            before = after
        self._spin()

    def hear(self, free: float | None) -> None:
        """So many processors were free for the training, on average, since the last look."""
        if free is not None and free < self._threads - WANTED:
            self._calm = 0
            self._sleep()
            return
        self._calm += 1
        if self._calm >= CALM:
            self._spin()

    def _moment(self) -> Moment:
        seen = now()
        return Moment(wall=seen.wall, idle=seen.idle, own=seen.own - self._of_others())

    def _of_others(self) -> float:
        """Processor time of the other threads of Python; of one that has ended it counts as the training's."""
        found = 0.0
        for thread in threading.enumerate():
            if thread.native_id not in (None, self._mine):
                with contextlib.suppress(OSError, ValueError, IndexError):
                    found += int((PROC / "self" / "task" / str(thread.native_id) / "schedstat").read_text().split()[0])
        return found / 1e9

    def _sleep(self) -> None:
        with contextlib.suppress(RuntimeError):  # this system lets no thread more begin
            self._team = self._team or Team()

    def _spin(self) -> None:
        if self._team is not None:
            self._team.leave()
            self._team = None


_LOOKING: weakref.WeakSet[Patience] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """A program may end in the midst of a run that it has left: the thread that looks may be within a team's begin."""
    for patience in list(_LOOKING):
        patience.close()


class Team:
    """Threads of OpenMP that never work after their first moment; they live as long as the thread that has them.

    Both its begin and its end are waited for: a thread within torch while the interpreter ends would abort the process.
    """

    def __init__(self) -> None:
        self._there, self._left = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._stay, name="team", daemon=True)
        self._thread.start()
        self._there.wait()

    def _stay(self) -> None:
        try:
            torch.ones(TEAM).neg_()
        finally:
            self._there.set()
        self._left.wait()

    def leave(self) -> None:
        """Let them go."""
        self._left.set()
        self._thread.join()
