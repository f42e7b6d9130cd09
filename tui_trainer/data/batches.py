"""From a configuration to batches: the only data name that `run.py` needs is `build_batches`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tui_trainer.config import Config
from tui_trainer.data import sources
from tui_trainer.data.datasets import EpochOrder, ImageDataset, RawBatch, Spec, collate
from tui_trainer.data.decode import BadImageError, is_grey, read_file
from tui_trainer.data.index import TRAIN, VAL, Index, Rows
from tui_trainer.data.rows import RowDataset, as_it_is
from tui_trainer.data.statistics import input_statistics, spread, target_statistics
from tui_trainer.data.threads import ThreadLoader
from tui_trainer.data.transforms import Normalize, Standardize
from tui_trainer.data_config import DataConfig, LoaderConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

LOOKED_AT = 64  # images that decide whether the data is grey
MIN_SEEN = 20  # images read before the share of bad ones can stop a run
THREAD_OPTIONS = (
    "batch_size", "drop_last", "num_workers", "prefetch_factor", "timeout", "persistent_workers", "pin_memory",
)  # fmt: skip
Collate = Callable[[Any], RawBatch]
PRELOADED = ["tui_trainer.data.datasets"]


@dataclass(frozen=True)
class Batch:
    """A batch for the loop: inputs, of images (N, S, S, C) uint8; targets (N,) int64 or (N, K); `number` from 1."""

    inputs: Tensor
    targets: Tensor
    number: int
    warnings: tuple[str, ...]


@dataclass
class BadFiles:
    """The files that could not be read so far, each told once; too many end the run."""

    max_bad: float
    total: int
    names: set[bytes] = field(default_factory=set)

    def tell(self, bad: list[tuple[bytes, str]]) -> tuple[str, ...]:
        """A sentence for each new one.

        Raises:
            DataError: more than the allowed part of all images is bad.
        """
        new = [(name, reason) for name, reason in bad if name not in self.names]
        self.names.update(name for name, _ in new)
        if new and len(self.names) > self.max_bad * max(self.total, MIN_SEEN):
            raise DataError(
                f"{len(self.names)} of {self.total} images cannot be read, the last {display(new[-1][0])} "
                f"({new[-1][1]}): more than --max-bad {self.max_bad:g} allows."
            )
        return tuple(f"{display(name)} is left out: {reason}." for name, reason in new)


class EpochLoader:
    """Batches of one part of the data, addressable by epoch and batch."""

    def __init__(
        self, dataset: Dataset[Any], order: EpochOrder, options: dict[str, Any], bad_files: BadFiles, least: int = 1
    ) -> None:
        self.batch_size: int = options["batch_size"]
        self.samples = order.length
        last = 0 if options["drop_last"] else self.batch_size - 1
        self.batches = (order.length + last) // self.batch_size
        self._order, self._bad_files, self._least = order, bad_files, least
        self._loader = _loader(dataset, order, options)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` after the first `start`, which are not read.

        A batch of which fewer files than the model needs could be read is empty.
        """
        self._order.epoch, self._order.start = number, start * self.batch_size
        if self._order.start >= self._order.length:
            return
        raw: RawBatch
        for count, raw in enumerate(self._loader, start + 1):
            enough = len(raw.targets) if len(raw.targets) >= self._least else 0
            yield Batch(raw.inputs[:enough], raw.targets[:enough], count, self._bad_files.tell(raw.bad))


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a run needs to know of its data."""

    index: Index
    spec: Spec
    train: EpochLoader
    val: EpochLoader
    mean: tuple[float, ...]
    std: tuple[float, ...]
    normalize: str  # where mean and std come from: measured, imagenet or none
    statistics_from: str  # the same in words
    target_mean: tuple[float, ...] = ()  # of each number to predict, over the training part
    target_std: tuple[float, ...] = ()

    def prepare(self, device: torch.device, *, channels_last: bool = False) -> Callable[[Any], tuple[Tensor, Tensor]]:
        """What takes a batch to the device: inputs normalised, numbers to predict in standard deviations."""
        images = bool(self.spec.image_size)
        normalize: Callable[[Tensor], Tensor] = (
            Normalize(self.mean, self.std, device, channels_last=channels_last)
            if images
            else Standardize(self.mean, self.std)
        )
        targets = Standardize(self.target_mean, self.target_std) if self.target_mean else None

        def to_device(batch: Batch) -> tuple[Tensor, Tensor]:
            inputs = normalize(batch.inputs.to(device, non_blocking=True))
            wanted = batch.targets.to(device, non_blocking=True)
            return inputs, wanted if targets is None else targets(wanted)

        return to_device


def scan(config: Config) -> Index:
    """The index of the configured folders, with the split.

    Raises:
        DataError: nothing to train on.
    """
    return sources.open_source(config.data, config.recipe.seed)


def look_at_channels(index: Index) -> int:
    """1 if the images looked at are all grey in their files, else 3.

    Raises:
        DataError: none of them can be read.
    """
    members = index.part(TRAIN)
    seen = 0
    for i in spread(members, LOOKED_AT):
        try:
            if not is_grey(encoded(index, int(i))):
                return 3
            seen += 1
        except BadImageError:
            continue
    if not seen:
        raise DataError(f"None of the images looked at in {display(index.root)} can be read: are they images?")
    return 1


def encoded(index: Index, sample: int) -> bytes:
    """The bytes of the image file of a sample, or of an image that is no file.

    Raises:
        BadImageError: the file cannot be read.
    """
    if index.inputs is None or isinstance(index.inputs, Rows):
        return read_file(index.path(sample))
    return index.inputs.encoded(sample)


def spec_of(data: DataConfig, index: Index) -> Spec:
    """How a sample becomes an input, when image size and channels are settled."""
    if isinstance(index.inputs, Rows):
        return Spec(image_size=0, channels=len(index.inputs.names), resize=data.resize)
    assert data.image_size is not None
    assert data.channels is not None
    return Spec(image_size=data.image_size, channels=data.channels, resize=data.resize)


def build_batches(config: Config, index: Index, spec: Spec, *, needs_two: bool, context: BaseContext | None) -> Data:
    """Loaders of the training and validation parts.

    `needs_two`: the model cannot train on a batch of one sample (batch normalisation), so that a
    sample left over at the end of an epoch is left out of that epoch.

    Raises:
        DataError: there are fewer samples than the loader options need.
        ConfigError: mean and std do not fit the inputs.
    """
    loader, recipe = config.loader, config.recipe
    train_set, val_set, joined = _datasets(config, index, spec)
    mean, std, reason = input_statistics(config.data, index, spec)
    target_mean, target_std = target_statistics(index)
    bad_files = BadFiles(config.data.max_bad, len(index))
    members = torch.from_numpy(index.part(TRAIN))
    length = _usable(len(members), loader, needs_two)
    order = EpochOrder(members, shuffle=loader.shuffle, seed=recipe.seed, length=length)
    held_out = torch.from_numpy(index.part(VAL))
    val_order = EpochOrder(held_out, shuffle=False, seed=recipe.seed, length=len(held_out))
    options = {**loader_options(loader, context), "collate_fn": joined}
    return Data(
        index=index,
        spec=spec,
        train=EpochLoader(train_set, order, options, bad_files, least=2 if needs_two else 1),
        val=EpochLoader(val_set, val_order, {**options, "drop_last": False}, bad_files),
        mean=mean,
        std=std,
        normalize=config.data.normalize or "measured",
        statistics_from=reason,
        target_mean=target_mean,
        target_std=target_std,
    )


def _datasets(config: Config, index: Index, spec: Spec) -> tuple[Dataset[Any], Dataset[Any], Collate]:
    """The dataset to train on, the one to validate on, and what makes a batch of their samples."""
    data, seed = config.data, config.recipe.seed
    if isinstance(index.inputs, Rows):
        return RowDataset(index), RowDataset(index), as_it_is
    train_set = ImageDataset(index, spec, data.augment, seed, training=True, least=data.crop_scale)
    return train_set, ImageDataset(index, spec), collate


def _loader(dataset: Dataset[Any], order: EpochOrder, options: dict[str, Any]) -> Iterable[RawBatch]:
    """Torch's DataLoader, or threads that give the same batches where it would start processes and need not."""
    if not options["num_workers"] or options["multiprocessing_context"] is not None:
        return DataLoader(dataset, sampler=order, **options)
    if not isinstance(dataset, ImageDataset):  # what lies in memory already is not read by threads
        alone = {"num_workers": 0, "prefetch_factor": None, "persistent_workers": False, "timeout": 0.0}
        return DataLoader(dataset, sampler=order, **{**options, **alone, "worker_init_fn": None})
    same = {name: options[name] for name in THREAD_OPTIONS}
    return ThreadLoader(dataset.read, order, dataset.row_bytes, **same)


def worker_context(loader: LoaderConfig) -> BaseContext | None:
    """Where worker processes come from; None if there are none, or threads instead of them."""
    return start_forkserver() if loader.num_workers and loader.worker_type == "process" else None


def loader_options(loader: LoaderConfig, context: BaseContext | None) -> dict[str, Any]:
    """The keyword arguments of torch's DataLoader."""
    workers = loader.num_workers > 0
    pin = torch.cuda.is_available() if loader.pin_memory is None else loader.pin_memory
    return {
        "batch_size": loader.batch_size,
        "num_workers": loader.num_workers,
        "pin_memory": pin and torch.cuda.is_available(),
        "drop_last": loader.drop_last,
        "timeout": loader.timeout,
        "prefetch_factor": loader.prefetch_factor,
        "persistent_workers": loader.persistent_workers and workers,
        "multiprocessing_context": context if workers else None,
        "worker_init_fn": _quiet_worker if workers else None,
        "generator": torch.Generator(),  # so that the loader draws nothing from the global one
    }


def _quiet_worker(_: int) -> None:
    """A stop is the main process's to handle: workers leave when it closes their pipes."""
    import signal

    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _usable(samples: int, loader: LoaderConfig, needs_two: bool) -> int:
    if loader.drop_last and samples < loader.batch_size:
        raise DataError(
            f"The training part has {samples} images, fewer than batch_size {loader.batch_size}: with drop_last "
            "there would be no batch at all; lower --batch-size or use --no-drop-last."
        )
    if needs_two and loader.batch_size == 1:
        raise ConfigError("batch_size = 1: this model has batch normalisation, which needs 2 or more images a step.")
    if needs_two and not loader.drop_last and samples % loader.batch_size == 1:
        return samples - 1
    return samples


def start_forkserver() -> BaseContext:
    """The server from which worker processes are forked, with their module loaded already.

    Start it before a user interface takes the terminal and before threads exist: forking a
    process that has threads can deadlock, and inside a Textual app the server cannot be started.
    """
    import multiprocessing
    import signal
    from multiprocessing import forkserver, resource_tracker

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    resource_tracker.ensure_running()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    # It inherits the mask: ctrl+c while it loads PyTorch would end it with a traceback on the terminal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context
