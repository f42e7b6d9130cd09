"""What DataLoader's worker processes do, with threads: the same options, order and batches.

Reading, decoding and resampling leave the interpreter free, so that threads do them at the same
time. A batch is written where the training reads it: nothing is copied, pickled or sent, and the
first batch needs no process to start. One task is one batch.
"""

from __future__ import annotations

import atexit
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, Sampler

from tui_trainer.data.buffers import Pool
from tui_trainer.data.shares import RankBatches

PREFETCH = 2  # batches ahead for each worker, as in DataLoader
JOIN = 1.0  # seconds to wait for a thread that ends; one that hangs in a file system is left behind

A = TypeVar("A")
B = TypeVar("B")
Read = Callable[[list[A], Tensor], B]


class ThreadLoader(Generic[A, B]):
    """The batches that `read` makes of what `sampler` yields, in its order.

    `read` gets addresses and memory of `size` bytes for each, flat; it may be called by several threads at once. A
    batch stays as it is for as long as anybody refers to it.
    """

    def __init__(
        self,
        read: Read[A, B],
        sampler: Sampler[Any],
        size: int,
        *,
        batch_size: int,
        drop_last: bool = False,
        num_workers: int = 1,
        prefetch_factor: int | None = None,
        timeout: float = 0.0,
        persistent_workers: bool = False,
        pin_memory: bool = False,
    ) -> None:
        whole = isinstance(sampler, RankBatches)
        self._batches: Any = sampler if whole else BatchSampler(sampler, batch_size, drop_last)
        self._read, self._size = read, size
        self._workers, self._ahead = num_workers, num_workers * (prefetch_factor or PREFETCH)
        self._timeout, self._persistent = timeout or None, persistent_workers
        self._pool = Pool(batch_size * size, np.dtype(np.uint8), pin=pin_memory)
        self._team: Team | None = None

    def __iter__(self) -> Iterator[B]:
        """An epoch.

        Raises:
            RuntimeError: a batch took longer than `timeout`.
        """
        team = self._team if self._team is not None and self._team.alive else Team(self._workers)
        self._team = team if self._persistent else None
        pending: deque[Future[B]] = deque()
        addresses: Iterator[list[Any]] = iter(self._batches)
        try:
            for group in addresses:
                pending.append(self._task(team, group))
                if len(pending) > self._ahead:
                    yield self._result(pending.popleft())
            while pending:
                yield self._result(pending.popleft())
        finally:
            for task in pending:
                task.cancel()
            if not self._persistent:
                team.close()

    def close(self) -> None:
        """End the threads; another epoch starts new ones."""
        if self._team is not None:
            self._team.close()

    def __del__(self) -> None:
        if self._team is not None:
            self._team.close(0.0)

    def _task(self, team: Team, group: list[A]) -> Future[B]:
        read, memory = self._read, self._pool.take()[: len(group) * self._size]
        return team.submit(lambda: read(group, memory))  # without self, whose end also ends the threads

    def _result(self, task: Future[B]) -> B:
        try:
            return task.result(self._timeout)
        except FutureTimeout:
            if task.done():
                raise  # what the task itself raised
            raise RuntimeError(f"DataLoader timed out after {self._timeout:g} seconds") from None


class Ahead:
    """A thread that makes the next of some items while the one before is in use."""

    def __init__(self) -> None:
        self._team: Team | None = None

    def of(self, items: Iterator[A]) -> Iterator[A]:
        """The same items, none of which is None."""
        if self._team is None or not self._team.alive:
            self._team = Team(1)
        team, take = self._team, partial(next, items, None)
        coming = team.submit(take)
        try:
            while (item := coming.result()) is not None:
                coming = team.submit(take)
                yield item
                del item  # so that its memory can be used again
        finally:
            coming.cancel()

    def close(self) -> None:
        """End the thread; more items start another."""
        if self._team is not None:
            self._team.close()

    def __del__(self) -> None:
        if self._team is not None:
            self._team.close(0.0)


_TEAMS: weakref.WeakSet[Team] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """A thread that is cut off when the interpreter ends may abort the process."""
    for team in list(_TEAMS):
        team.close()


class Team:
    """Threads that work off tasks in their order; daemons, so that none keeps the program from ending."""

    def __init__(self, count: int) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[object], Callable[[], object]] | None] = queue.SimpleQueue()
        self.alive = True
        ready = threading.Barrier(count + 1)
        self._threads = [
            threading.Thread(target=_work, args=(self._tasks, ready), name=f"loader-{i}", daemon=True)
            for i in range(count)
        ]
        threads = torch.get_num_threads()
        for thread in self._threads:
            thread.start()
        ready.wait()
        _TEAMS.add(self)
        torch.set_num_threads(threads)  # each worker has set its own to 1, which new threads would inherit

    def submit(self, work: Callable[[], B]) -> Future[B]:
        """Have it done."""
        task: Future[B] = Future()
        self._tasks.put((task, work))  # type: ignore[arg-type]
        return task

    def close(self, seconds: float = JOIN) -> None:
        """End when the tasks at hand are done."""
        self.alive = False
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(seconds)


def _work(
    tasks: queue.SimpleQueue[tuple[Future[object], Callable[[], object]] | None], ready: threading.Barrier
) -> None:
    torch.get_num_threads()  # else the first operation would set the number of this thread again
    torch.set_num_threads(1)
    ready.wait()
    while (item := tasks.get()) is not None:
        task, work = item
        if task.set_running_or_notify_cancel():
            try:
                task.set_result(work())
            except BaseException as error:
                task.set_exception(error)
        del task, work, item  # an idle thread must not hold on to a batch
