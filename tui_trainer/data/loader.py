"""Batches through torch's DataLoader or through threads, addressable by epoch and batch."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tui_trainer.background import not_from_here
from tui_trainer.config import Config
from tui_trainer.data.bad_files import BadFiles
from tui_trainer.data.block import Block
from tui_trainer.data.datasets import EpochOrder, ImageDataset, RawBatch
from tui_trainer.data.inline import Inline
from tui_trainer.data.order import EpochBatches
from tui_trainer.data.respawn import AUTO_TIMEOUT, LOOK, Workers, lasting
from tui_trainer.data.shares import RankBatches
from tui_trainer.data.sources import is_own
from tui_trainer.data.threads import ThreadLoader
from tui_trainer.data_config import LoaderConfig
from tui_trainer.errors import ConfigError
from tui_trainer.waiting import set_waiting

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

THREAD_OPTIONS = (
    "batch_size", "drop_last", "num_workers", "prefetch_factor", "timeout", "persistent_workers", "pin_memory",
)  # fmt: skip
PRELOADED = ["tui_trainer.data.preloaded"]
ALONE = {
    "num_workers": 0,
    "prefetch_factor": None,
    "persistent_workers": False,
    "timeout": 0.0,
    "worker_init_fn": None,
    "multiprocessing_context": None,
}


@dataclass(frozen=True)
class Batch:
    """A batch for the loop: inputs, of images (N, S, S, C) uint8; targets (N,) int64 or (N, K); `number` from 1.

    `block`: of which it is the one at `place`.
    """

    inputs: Tensor
    targets: Tensor
    number: int
    warnings: tuple[str, ...]
    block: Block | None = None
    place: int = 0


class Loader(Protocol):
    """Batches of one part of the data; those of an epoch are a function of its number."""

    samples: int
    batches: int
    batch_size: int
    bad_files: BadFiles

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` after the first `start`."""

    def close(self) -> None:
        """End the workers."""


class EpochLoader:
    """Batches of one part of the data, addressable by epoch and batch; of each the part of `rank` among `ranks`.

    `samples`, `batches` and `batch_size` are those of all ranks.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        order: EpochOrder | EpochBatches,
        options: dict[str, Any],
        bad_files: BadFiles,
        least: int = 1,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._own = isinstance(order, EpochBatches)
        if isinstance(order, EpochBatches):
            self.samples, self.batches = order.samples, order.length
            self.batch_size: int = -(-order.samples // order.length)
        else:
            self.batch_size = options["batch_size"]
            self.samples = order.length
            last = 0 if options["drop_last"] else self.batch_size - 1
            self.batches = (order.length + last) // self.batch_size
        self._order, self.bad_files, self._least = order, bad_files, least
        self._heard = bad_files.heard
        size, drop_last = options["batch_size"], options["drop_last"]
        part = RankBatches(order, batch_size=size, drop_last=drop_last, rank=rank, ranks=ranks, least=least)
        read = order if ranks == 1 else part
        self._make: Callable[[], Iterable[RawBatch]] = lambda: _loader(dataset, read, options)
        self._workers = Workers()
        self._patience: float = options["timeout"]
        self._loader = self._make()
        self.make_ahead: Callable[[Tensor], Tensor] | None = None  # what will be made of inputs on the CPU

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` after the first `start`, which are not read.

        A batch of which fewer files than the model needs could be read is empty.
        """
        if isinstance(self._loader, Inline) and self._loader.has_blocks and self._least <= self.batch_size:
            return self._from_blocks(self._loader, number, start)
        return self._one_by_one(number, start)

    def _one_by_one(self, number: int, start: int) -> Iterator[Batch]:
        raw: RawBatch
        for count, raw, told in lasting(partial(self._opened, number), start, self._renew, self._patience):
            yield self._batch(raw, count, told)

    def _from_blocks(self, inline: Inline, number: int, start: int) -> Iterator[Batch]:
        """The same; what is between the memory and the loop is gone through once for many batches."""
        count = start
        self._order.epoch, self._order.start = number, min(start * self.batch_size, self._order.length)
        for some in inline.blocks(self.make_ahead):
            if isinstance(some, RawBatch):
                count += 1
                yield self._batch(some, count)
                continue
            for place, (inputs, targets) in enumerate(some.batches):
                count += 1
                yield Batch(inputs, targets, count, (), some, place)

    def _batch(self, raw: RawBatch, count: int, told: tuple[str, ...] = ()) -> Batch:
        enough = raw.targets.shape[0] >= self._least
        inputs, targets = (raw.inputs, raw.targets) if enough else (raw.inputs[:0], raw.targets[:0])
        return Batch(inputs, targets, count, told + self._told(raw))

    def _opened(self, number: int, start: int) -> Iterator[RawBatch]:
        self._order.epoch, self._order.start = number, start * (1 if self._own else self.batch_size)
        if self._order.start >= self._order.length:
            return iter(())
        with self._workers.starting():
            return iter(self._loader)

    def _told(self, raw: RawBatch) -> tuple[str, ...]:
        """What is new of a batch."""
        if not raw.bad and not raw.told:
            return ()
        new = tuple(text for text in raw.told if text not in self._heard)
        self._heard.update(new)
        return self.bad_files.tell(raw.bad) + new

    def close(self) -> None:
        """End the workers at once: left to the collector of cycles, DataLoader would wait 5 s for each."""
        self._workers.kill()
        if isinstance(self._loader, (ThreadLoader, Inline)):
            self._loader.close()

    def _renew(self) -> None:
        """Other workers in the place of those that there are."""
        self._workers.kill()
        self._loader = self._make()


def _loader(
    dataset: Dataset[Any], order: EpochOrder | EpochBatches | RankBatches, options: dict[str, Any]
) -> Iterable[RawBatch]:
    """Torch's DataLoader, or threads that give the same batches where it would start processes and need not."""
    processes = options["num_workers"] and options["multiprocessing_context"] is not None
    threads = not processes and options["num_workers"] and isinstance(dataset, ImageDataset)
    if threads and isinstance(dataset, ImageDataset) and not isinstance(order, EpochBatches):
        same = {name: options[name] for name in THREAD_OPTIONS}
        return ThreadLoader(dataset.read, order, dataset.row_bytes, **same)
    if isinstance(dataset, ImageDataset) and isinstance(order, EpochOrder) and not (processes or options["pin_memory"]):
        return Inline(dataset, order, options["batch_size"], options["drop_last"])
    options = {**options, "timeout": min(options["timeout"], LOOK)}
    if not processes:  # what lies in memory already is not read by threads
        options |= ALONE
    if not isinstance(order, EpochOrder):
        others = {name: value for name, value in options.items() if name not in ("batch_size", "drop_last")}
        return DataLoader(dataset, batch_sampler=order, **others)
    return DataLoader(dataset, sampler=order, **options)


def worker_context(config: Config) -> BaseContext | None:
    """Where worker processes come from; None if there are none, or threads instead of them.

    Raises:
        ConfigError: workers cannot be forked from here.
    """
    loader = config.loader
    if not loader.num_workers or not needs_processes(config):
        return None
    method = loader.multiprocessing_context
    if method == "fork" and threading.current_thread() is not threading.main_thread():
        raise ConfigError("multiprocessing_context = fork: a process with screens cannot be forked; use auto.")
    return start_forkserver() if method in ("auto", "forkserver") else multiprocessing.get_context(method)


def needs_processes(config: Config) -> bool:
    """Whether workers are processes: asked for, or code of the user's own runs in them."""
    loader = config.loader
    if loader.worker_type != "auto":
        return loader.worker_type == "process"
    return is_own(config.data.data) or bool(loader.hooks) or loader.multiprocessing_context != "auto"


def loader_options(
    loader: LoaderConfig, context: BaseContext | None, start: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """The keyword arguments of torch's DataLoader; `start` is what the user calls in each worker."""
    workers = loader.num_workers > 0
    pin = torch.cuda.is_available() if loader.pin_memory is None else loader.pin_memory
    return {
        "batch_size": loader.batch_size,
        "num_workers": loader.num_workers,
        "pin_memory": pin and torch.cuda.is_available(),
        "drop_last": loader.drop_last,
        "timeout": (AUTO_TIMEOUT if loader.timeout is None else loader.timeout) if workers else 0.0,
        "prefetch_factor": loader.prefetch_factor,
        "persistent_workers": loader.persistent_workers and workers,
        "multiprocessing_context": context if workers else None,
        "worker_init_fn": WorkerStart(start) if workers else None,
        "generator": torch.Generator(),  # so that the loader draws nothing from the global one
    }


def not_pinned(loader: LoaderConfig) -> tuple[str, ...]:
    """A sentence if memory is to be pinned where nothing is copied from it."""
    if not loader.pin_memory or torch.cuda.is_available():
        return ()
    return ("pin_memory does nothing here: there is no GPU that batches would be copied to.",)


class WorkerStart:
    """What a worker process does first: leave signals to the main process, then call what the user wants."""

    def __init__(self, start: Callable[[int], None] | None) -> None:
        self._start = start

    def __call__(self, number: int) -> None:
        """In worker `number`."""
        _quiet_worker(number)
        threading.Thread(target=_end_with_the_main_process, name="orphan", daemon=True).start()
        if self._start is not None:
            self._start(number)


def _quiet_worker(_: int) -> None:
    """A stop is the main process's to handle: workers leave when it closes their pipes."""
    import signal

    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _end_with_the_main_process() -> None:
    """In a worker: one that waits for work would outlive a killed run, and keep its forkserver alive too."""
    from multiprocessing.connection import wait

    if (parent := multiprocessing.parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)


def start_forkserver() -> BaseContext:
    """The server from which worker processes are forked, with their module loaded already.

    Start it before a user interface takes the terminal and before threads exist: forking a
    process that has threads can deadlock, and inside a Textual app the server cannot be started.
    """
    import multiprocessing
    import signal
    from multiprocessing import forkserver, resource_tracker

    set_waiting()
    resource_tracker.ensure_running()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    # It inherits the mask: ctrl+c while it loads PyTorch would end it with a traceback on the terminal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    added = {name: value for name, value in not_from_here().items() if name not in os.environ}
    os.environ.update(added)  # it is `python -c`
    try:
        forkserver.ensure_running()
    finally:
        for name in added:
            del os.environ[name]
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context
