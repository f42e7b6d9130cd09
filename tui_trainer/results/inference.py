"""What a model says of the samples of an index. Letters: N samples in a batch, C outputs.

Files are decoded in threads: OpenCV and torch's resampling let go of the interpreter, and no process
has to be started, so that it works the same behind the screens.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tui_trainer.data import batches
from tui_trainer.data.datasets import ImageDataset, Sample
from tui_trainer.data.index import Index, Own, Rows
from tui_trainer.data.loader import Batch
from tui_trainer.data.own_items import OwnDataset, stack
from tui_trainer.results.samples import Samples
from tui_trainer.results.trained import Trained

BATCH_SIZE = 64
AHEAD = 2  # batches that are decoded while the model works on one


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A batch: `members` (N,) of the index that could be read, `outputs` (N, C), and those that could not.

    `targets`, and warnings in sentences: those of a stream, which no index has.
    """

    members: npt.NDArray[np.int64]
    outputs: Tensor
    bad: tuple[tuple[int, str], ...] = ()
    targets: npt.NDArray[Any] | None = None
    warnings: tuple[str, ...] = ()


def answers(
    trained: Trained, index: Index, members: Sequence[int] | npt.NDArray[np.int64], batch_size: int = BATCH_SIZE
) -> Iterator[Answered]:
    """The model's outputs for these samples, in their order, a batch at a time."""
    if isinstance(index.inputs, Rows):
        for start in range(0, len(members), batch_size):
            rows = np.asarray(members[start : start + batch_size], np.int64)
            yield Answered(members=rows, outputs=trained.outputs(torch.from_numpy(index.inputs.features[rows])), bad=())
        return
    if isinstance(index.inputs, Own):
        yield from _of_items(trained, index, members, batch_size)
        return
    dataset = ImageDataset(index, trained.preprocessing.spec)
    for numbers, samples in decoded(dataset, members, batch_size):
        good = [(number, s.image) for number, s in zip(numbers, samples, strict=True) if s.image is not None]
        outputs = trained.outputs(torch.stack([image for _, image in good])) if good else torch.empty(0, 0)
        bad = tuple((number, s.reason) for number, s in zip(numbers, samples, strict=True) if s.image is None)
        yield Answered(members=np.array([number for number, _ in good], np.int64), outputs=outputs, bad=bad)


def _of_items(
    trained: Trained, index: Index, members: Sequence[int] | npt.NDArray[np.int64], batch_size: int
) -> Iterator[Answered]:
    """Items of the user's own dataset, one after another: what they draw comes from generators of this process."""
    dataset = OwnDataset(index, 0)
    for start in range(0, len(members), batch_size):
        numbers = [int(number) for number in members[start : start + batch_size]]
        batch = stack([dataset[0, number]._replace(name=b"%d" % number) for number in numbers])
        bad = {int(name): reason for name, reason in batch.bad}
        good = [number for number in numbers if number not in bad]
        outputs = trained.outputs(batch.inputs) if good else torch.empty(0, 0)
        yield Answered(members=np.array(good, np.int64), outputs=outputs, bad=tuple(bad.items()))


def streamed(trained: Trained, samples: Samples) -> Iterator[Answered]:
    """The model's outputs for what a stream gives, as many samples as an epoch has."""
    count = 0
    for batch in of_stream(samples):
        size = len(batch.targets)
        outputs = trained.outputs(batch.inputs) if size else torch.empty(0, 0)
        members = np.arange(count, count + size, dtype=np.int64)
        count += size
        yield Answered(members=members, outputs=outputs, targets=batch.targets.numpy(), warnings=batch.warnings)


def of_stream(samples: Samples) -> Iterator[Batch]:
    """An epoch of a stream, read in this process."""
    alone = {"num_workers": 0, "prefetch_factor": None, "timeout": 0.0, "worker_init_fn": ""}
    config = samples.config.replace(**alone, multiprocessing_context="auto")
    spec = batches.spec_of(config.data, samples.index)
    data = batches.build_batches(config, samples.index, spec, needs_two=False, context=None)
    yield from (data.train if samples.part == "train" else data.val).epoch(0)


def decoded(
    dataset: ImageDataset, members: Iterable[int], batch_size: int = BATCH_SIZE
) -> Iterator[tuple[list[int], list[Sample]]]:
    """Samples as validation sees them, in order, with their numbers."""
    numbers = iter(members)
    waiting: deque[tuple[list[int], list[Future[Sample]]]] = deque()
    pool = ThreadPoolExecutor(max(1, os.cpu_count() or 1), thread_name_prefix="decode")
    try:
        while True:
            while len(waiting) <= AHEAD and (batch := [int(n) for n in itertools.islice(numbers, batch_size)]):
                waiting.append((batch, [pool.submit(dataset.__getitem__, (0, number)) for number in batch]))
            if not waiting:
                return
            batch, futures = waiting.popleft()
            yield batch, [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)
