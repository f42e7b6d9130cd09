"""From a configuration to batches: the only data name that `run.py` needs is `build_batches`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tui_trainer import run_folder, user_code
from tui_trainer.config import Config
from tui_trainer.data import order as orders
from tui_trainer.data import sources
from tui_trainer.data.bad_files import BadFiles
from tui_trainer.data.cache import DISK, MEMORY, OFF, Kept, keep_images
from tui_trainer.data.datasets import EpochOrder, ImageDataset, RawBatch, Spec, collate
from tui_trainer.data.index import MULTILABEL, TRAIN, VAL, Index, Own, Rows, Stream
from tui_trainer.data.loader import Batch, EpochLoader, Loader, loader_options
from tui_trainer.data.own_items import OneByOne, OwnCollate, OwnDataset, OwnStream, stack
from tui_trainer.data.own_stream import Gathered, StreamLoader
from tui_trainer.data.rows import RowDataset, as_it_is
from tui_trainer.data.shared_index import shared
from tui_trainer.data.statistics import input_statistics, target_statistics
from tui_trainer.data.stream_items import StreamItems
from tui_trainer.data.stream_loader import loaders_of
from tui_trainer.data.transforms import Normalize, Standardize
from tui_trainer.data.upload import upload_to
from tui_trainer.data_config import DataConfig, LoaderConfig
from tui_trainer.errors import ConfigError, DataError

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

Collate = Callable[[Any], RawBatch]


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a run needs to know of its data."""

    index: Index
    spec: Spec
    train: Loader
    val: Loader
    mean: tuple[float, ...]
    std: tuple[float, ...]
    normalize: str  # where mean and std come from: measured, imagenet or none
    statistics_from: str  # the same in words
    kept: Kept  # decoded images
    target_mean: tuple[float, ...] = ()  # of each number to predict, over the training part
    target_std: tuple[float, ...] = ()

    def close(self) -> None:
        """End the loaders' workers."""
        self.train.close()
        self.val.close()

    def prepare(self, device: torch.device, *, channels_last: bool = False) -> Callable[[Any], tuple[Tensor, Tensor]]:
        """What takes a batch to the device: inputs normalised, numbers to predict in standard deviations."""
        normalize: Callable[[Tensor], Tensor] = Standardize(self.mean, self.std)
        blocks: Normalize | None = None
        if isinstance(self.index.inputs, Own):
            normalize = as_floats
        elif self.spec.image_size:
            normalize = blocks = Normalize(self.mean, self.std, device, channels_last=channels_last)
        if device.type != "cpu":
            blocks = None  # a block is never copied there whole
        for loader in (self.train, self.val):
            if isinstance(loader, EpochLoader):
                loader.make_ahead = blocks
        targets = Standardize(self.target_mean, self.target_std) if self.target_mean else None
        upload = upload_to(device)

        def to_device(batch: Batch) -> tuple[Tensor, Tensor]:
            inputs, wanted = upload(batch.inputs, batch.targets)
            wanted = wanted if targets is None else targets(wanted)
            if blocks is not None and batch.block is not None:
                return blocks.part(batch.block, batch.place), wanted
            return normalize(inputs), wanted

        return to_device


def as_floats(inputs: Tensor) -> Tensor:
    """What the user's own dataset gives: bytes as shares of 255, other numbers as they are."""
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs


def scan(config: Config, folder: Path | None = None) -> Index:
    """The index of the configured folders, with the split; `folder`: of the run that goes on, or is tested.

    Raises:
        DataError: nothing to train on.
    """
    if config.run.resume:
        folder = run_folder.find_run(config.run.resume).path
    return sources.open_source(config.data, config.recipe.seed, trusted=config.run.trust_code, folder=folder)


def spec_of(data: DataConfig, index: Index) -> Spec:
    """How a sample becomes an input, when image size and channels are settled."""
    if isinstance(index.inputs, Rows):
        return Spec(image_size=0, channels=len(index.inputs.names), resize=data.resize)
    if isinstance(index.inputs, Stream) and index.inputs.names:
        return Spec(image_size=0, channels=len(index.inputs.names), resize=data.resize)
    if isinstance(index.inputs, Own):
        shape = index.inputs.shape
        return Spec(image_size=shape[1] if is_square(shape) else 0, channels=shape[0], resize=data.resize)
    assert data.image_size is not None
    assert data.channels is not None
    side, most = data.image_size, data.max_megapixels
    return Spec(image_size=side, channels=data.channels, resize=data.resize, max_megapixels=most)


def is_square(shape: tuple[int, ...]) -> bool:
    """Whether inputs of this shape are square images, (C, S, S)."""
    return len(shape) == 3 and shape[1] == shape[2]


def build_batches(
    config: Config,
    index: Index,
    spec: Spec,
    *,
    needs_two: bool,
    context: BaseContext | None,
    rank: int = 0,
    ranks: int = 1,
    gathered: Gathered | None = None,
) -> Data:
    """Loaders of the training and validation parts: of each batch the part of `rank` among `ranks`.

    `needs_two`: the model cannot train on a batch of one sample (batch normalisation), so that a
    sample left over at the end of an epoch is left out of that epoch. `gathered` asks all ranks.

    Raises:
        DataError: there are fewer samples than the loader options need.
        ConfigError: mean and std do not fit the inputs.
    """
    train_set, val_set, joined = _datasets(config, index if context is None else shared(index), spec)
    kept = Kept(where=OFF, reason="nothing is decoded")
    if isinstance(train_set, ImageDataset) and isinstance(val_set, ImageDataset):
        kept = keep_images(config, index, train_set.pipeline, val_set.pipeline, processes=context is not None)
        train_set.kept, val_set.kept = kept.train, kept.val
    elif config.data.cache in (MEMORY, DISK):
        raise ConfigError(f"cache = {config.data.cache}: only images that this program decodes are kept; use auto.")
    mean, std, reason = input_statistics(config.data, index, spec, train_set)
    target_mean, target_std = target_statistics(index)
    share: dict[str, Any] = {"rank": rank, "ranks": ranks}
    more: dict[str, Any] = {"needs_two": needs_two, "context": context, "gathered": gathered}
    train, val = _loaders(config, index, train_set, val_set, joined, share, **more)
    return Data(
        index=index,
        spec=spec,
        train=train,
        val=val,
        mean=mean,
        std=std,
        normalize="none" if isinstance(index.inputs, Own) else config.data.normalize or "measured",
        statistics_from=reason,
        kept=kept,
        target_mean=target_mean,
        target_std=target_std,
    )


def _loaders(
    config: Config,
    index: Index,
    train_set: Dataset[Any],
    val_set: Dataset[Any],
    joined: Collate,
    share: dict[str, Any],
    *,
    needs_two: bool,
    context: BaseContext | None,
    gathered: Gathered | None,
) -> tuple[Loader, Loader]:
    loader, seed, least = config.loader, config.recipe.seed, 2 if needs_two else 1
    options = _options(config, context, joined)
    if isinstance(train_set, StreamItems) and isinstance(val_set, StreamItems):
        return loaders_of(config, index, (train_set, val_set), options, least=least, **share)
    if loader.collate_fn and not isinstance(train_set, OwnStream):
        train_set, val_set = OneByOne(train_set), OneByOne(val_set)
    whole = {**options, "drop_last": False}
    bad_files = BadFiles(config.data.max_bad, max(1, len(index)))
    if isinstance(train_set, OwnStream) and isinstance(val_set, OwnStream):
        more: tuple[Any, ...] = _steps(config), bad_files, seed
        return (
            StreamLoader(train_set, options, *more, least=least, **share, gathered=gathered),
            StreamLoader(val_set, whole, *more, **share, gathered=gathered),
        )
    train_order = _order(config, index, needs_two)
    held_out = torch.from_numpy(index.part(VAL))
    val_order = EpochOrder(held_out, shuffle=False, seed=seed, length=len(held_out))
    return (
        EpochLoader(train_set, train_order, options, bad_files, least=least, **share),
        EpochLoader(val_set, val_order, whole, bad_files, **share),
    )


def _options(config: Config, context: BaseContext | None, joined: Collate) -> dict[str, Any]:
    """The options of DataLoader, the user's own functions among them."""
    loader, trusted = config.loader, config.run.trust_code
    start = user_code.load(loader.worker_init_fn, trusted=trusted) if loader.worker_init_fn else None
    if loader.collate_fn:
        joined = OwnCollate(user_code.load(loader.collate_fn, trusted=trusted), loader.collate_fn)
    return {**loader_options(loader, context, start), "collate_fn": joined}


def _steps(config: Config) -> int:
    loader = config.loader
    if loader.sampler != "default" or loader.batch_sampler:
        raise ConfigError("A stream gives its own order: leave out sampler and batch_sampler.")
    return loader.steps_per_epoch or 0


def _order(config: Config, index: Index, needs_two: bool) -> EpochOrder | orders.EpochBatches:
    """The order of the training part: shuffled, weighted, or by the user's own sampler or batch sampler.

    Raises:
        ConfigError: weights need classes.
        DataError: what the user's own yields is no order.
    """
    loader, seed, trusted = config.loader, config.recipe.seed, config.run.trust_code
    members = torch.from_numpy(index.part(TRAIN))
    targets = torch.from_numpy(index.targets[index.part(TRAIN)])
    if loader.batch_sampler:
        make = user_code.load(loader.batch_sampler, trusted=trusted)
        return orders.EpochBatches(members, orders.own(make, loader.batch_sampler, targets, seed), loader.batch_sampler)
    draw: orders.Draw | None = None
    count = len(members)
    if loader.sampler == "weighted":
        if not index.classes:
            raise ConfigError("sampler = weighted balances classes, and these targets are numbers: use default.")
        draw = orders.weighted(targets if index.task == MULTILABEL else targets.long(), seed)
    elif loader.sampler != "default":
        yielded = orders.own(user_code.load(loader.sampler, trusted=trusted), loader.sampler, targets, seed)
        draw = orders.of_places(yielded, count, loader.sampler)
        count = len(draw(0))
    length = _usable(count, loader, needs_two)
    return EpochOrder(members, shuffle=loader.shuffle, seed=seed, length=length, draw=draw)


def _datasets(config: Config, index: Index, spec: Spec) -> tuple[Dataset[Any], Dataset[Any], Collate]:
    """The dataset to train on, the one to validate on, and what makes a batch of their samples."""
    data, seed = config.data, config.recipe.seed
    if isinstance(index.inputs, Rows):
        return RowDataset(index), RowDataset(index), as_it_is
    if isinstance(index.inputs, Stream):
        training = StreamItems(index, spec, data.augment, seed, training=True, least=data.crop_scale)
        return training, StreamItems(index, spec), as_it_is
    if isinstance(index.inputs, Own):
        if index.inputs.streams:
            train_set, val_set = (OwnStream(one, index.task, seed) for one in index.inputs.datasets)
            return train_set, val_set, stack
        return OwnDataset(index, seed), OwnDataset(index, seed), stack
    shrinks = data.cache_shrink and data.augment != "none"
    images = ImageDataset(index, spec, data.augment, seed, training=True, least=data.crop_scale, shrinks=shrinks)
    return images, ImageDataset(index, spec), collate


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
