"""Batches of the user's own stream: so many an epoch, or as many as come until it ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from tui_trainer.data.bad_files import BadFiles
from tui_trainer.data.datasets import RawBatch
from tui_trainer.data.loader import Batch
from tui_trainer.data.own_items import OwnStream
from tui_trainer.data.respawn import LOOK, Workers, lasting
from tui_trainer.data.transforms import address
from tui_trainer.errors import DataError

Told = tuple[str, ...]
Gathered = Callable[[bool], list[bool]]  # what each rank says


class StreamLoader:
    """`steps` batches an epoch, fewer if the stream ends; 0: until it ends.

    `batches` and `samples` are 0 until they are known: without steps they are those of the last epoch that ended. An
    epoch is entered by passing over batches. Every rank reads the whole stream and takes its share of each batch; all
    go on until none has another one, so that a stream that ends earlier on one of them stops nobody.
    """

    def __init__(
        self, dataset: OwnStream, options: dict[str, Any], steps: int, bad_files: BadFiles, seed: int, *,
        least: int = 1, rank: int = 0, ranks: int = 1, gathered: Gathered | None = None,
    ) -> None:  # fmt: skip
        self.batch_size: int = options["batch_size"]
        self.batches, self.samples, self._steps = steps, steps * self.batch_size, steps
        self._dataset, self.bad_files, self._seed = dataset, bad_files, seed
        self.bad_files.total = max(self.bad_files.total, self.samples)
        self._least, self._rank, self._ranks = least, rank, ranks
        self._gathered: Gathered = gathered or (lambda has_one: [has_one])
        self._workers, self._patience = Workers(), options["timeout"]
        options = {**options, "timeout": min(options["timeout"], LOOK)}
        self._options = {**options, "persistent_workers": False}  # each epoch sends its number to new workers

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` after the first `start`.

        Raises:
            DataError: there are none.
        """
        raw: RawBatch
        count, seen = start, start * self.batch_size
        found = lasting(partial(self._opened, number), start, self._workers.kill, self._patience)
        for count, raw, told in self._until_all_end(found, start):
            seen += len(raw.targets)
            self.bad_files.total = max(self.bad_files.total, seen)
            bad = () if self._rank else self.bad_files.tell(raw.bad)
            yield self._share(raw, count, (*told, *bad))
        if not count:
            more = f", of {self.batch_size} items or more with drop_last" if self._options["drop_last"] else ""
            raise DataError(f"Your stream gave no batch this time: its __iter__ must begin anew at each call{more}.")
        if not self._steps:
            self.batches = count
            if count > start or not self.samples:  # at its very end nothing is seen of how short the last one was
                self.samples = seen

    def _until_all_end(
        self, found: Iterator[tuple[int, RawBatch, Told]], start: int
    ) -> Iterator[tuple[int, RawBatch, Told]]:
        for number in itertools.count(start + 1):
            one = next(found, None)
            if not any(self._gathered(one is not None)):
                return
            yield one or (number, RawBatch(torch.empty(0), torch.empty(0), []), ())

    def _share(self, raw: RawBatch, number: int, told: Told) -> Batch:
        """What this rank has of a batch; nothing where it would be fewer than the model needs."""
        shared_by = min(self._ranks, len(raw.targets) // self._least)
        own = slice(self._rank, None, shared_by) if self._rank < shared_by else slice(0)
        return Batch(raw.inputs[own], raw.targets[own], number, told)

    def close(self) -> None:
        """End the workers at once."""
        self._workers.kill()

    def _opened(self, number: int, start: int) -> Iterator[RawBatch]:
        self._dataset.epoch = number
        self._options["generator"].manual_seed(address(self._seed, number, -1))
        loader: DataLoader[Any] = DataLoader(self._dataset, **self._options)
        with self._workers.starting():
            return itertools.islice(iter(loader), start, self._steps or None)
