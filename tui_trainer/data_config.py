"""The settings of the data and of its loader; see `config`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tui_trainer.errors import ConfigError
from tui_trainer.settings import setting
from tui_trainer.text import display

BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What to learn from, and how a picture becomes a tensor."""

    data: str = setting(
        "",
        "Folder with one sub-folder of images a class, a table, a manifest, IDX files, tar shards, the URL of a "
        "database, or torchvision:NAME.",
        metavar="PATH",
    )
    val_data: str = setting("", "Folder of validation images, same classes; or a table, same columns.", metavar="PATH")
    val_fraction: float = setting(0.2, "Part of each class held out for validation.", gt=0, lt=1)
    task: str | None = setting(
        None,
        "What is learned: one class, numbers, or any number of labels; auto: by the targets.",
        choices=("classification", "regression", "multilabel"),
    )
    target: tuple[str, ...] = setting(
        (), "Target column(s) of a table, by name or place (1 first, -1 last); empty: found.", metavar="NAME,..."
    )
    features: tuple[str, ...] = setting((), "Columns to learn from; empty: all others.", metavar="NAME,...")
    ignore_columns: tuple[str, ...] = setting((), "Columns of a table to leave out.", metavar="NAME,...")
    missing: str = setting(
        "refuse",
        "Rows of a table with missing values: refuse them, fill in mean or median, or drop them.",
        choices=("refuse", "mean", "median", "drop"),
    )
    part_column: str = setting("", "Column that says train, val or test; empty: found.", metavar="NAME")
    label_separator: str = setting("", "What stands between the labels of a target column, such as |.", metavar="TEXT")
    path_column: str = setting("", "Column of a manifest that names the images; empty: found.", metavar="NAME")
    targets: str = setting("", "Table of targets for the images of a folder, by path.", metavar="FILE")
    data_root: str = setting("", "Folder of a manifest's paths, or of torchvision's datasets.", metavar="DIR")
    data_args: tuple[str, ...] = setting(
        (), "Arguments of the dataset, such as split=letters.", metavar="NAME=VALUE,..."
    )
    header: bool | None = setting(None, "Whether the first row of a table names its columns.")
    query: str = setting("", "SELECT whose rows of a database are learned from; empty: its only table.", metavar="SQL")
    order_key: str = setting("", "Column of unique values by which a database is read; empty: its key.", metavar="NAME")
    stream: bool | None = setting(
        None, "Read JSON lines block by block instead of loading them; auto: several, packed, remote or over 1 GB."
    )
    follow: bool = setting(False, "Read lines as they are added to a file of JSON lines; needs steps_per_epoch.")
    image_size: int | None = setting(
        None,
        "Images become squares of this side.",
        unit="pixels",
        ge=1,
        le=4096,
        aliases=("img-size", "imgsz"),
    )
    channels: int | None = setting(None, "1 for grey, 3 for RGB.", choices=(1, 3))
    resize: str = setting(
        "squash",
        "Make images square: squash both sides, crop the centre, or pad with black.",
        choices=("squash", "crop", "pad"),
    )
    augment: str = setting(
        "none",
        "Random changes to training images (light: crop and flip).",
        choices=("none", "light", "standard", "trivial", "rand"),
    )
    crop_scale: float = setting(
        0.5, "Smallest part of the area that a random crop keeps (0.08 is usual for ImageNet).", gt=0, le=1
    )
    cache: str | None = setting(
        None,
        "Keep decoded images from one epoch to the next; auto: in memory where they fit and no sample changes.",
        choices=("off", "memory", "disk"),
    )
    cache_limit: float | None = setting(
        None, "Most that they take; auto: a quarter of the free memory, or half of the free disk.", unit="GB", gt=0
    )
    cache_shrink: bool = setting(
        False, "Keep large photos smaller for random crops: fast, but the crops are a little softer."
    )
    normalize: str | None = setting(
        None,
        "Mean and standard deviation: measured on the training part, ImageNet's, or none.",
        choices=("measured", "imagenet", "none"),
    )
    mean: tuple[float, ...] = setting(
        (), "Mean of each channel in [0, 1], or input of a table; empty: by normalize.", metavar="M,M,M"
    )
    std: tuple[float, ...] = setting((), "Standard deviation of each.", metavar="S,S,S")
    max_megapixels: float = setting(
        100.0, "Larger images are bad files: their size is read before they are decoded.", unit="megapixels",
        gt=0, le=1000,
    )  # fmt: skip
    max_bad: float = setting(
        0.05, "Stop when more than this part of the images, of 20 at least, cannot be read.", ge=0, le=1
    )

    def __post_init__(self) -> None:
        if self.cache == "off" and (self.cache_shrink or self.cache_limit is not None):
            name = "cache_shrink" if self.cache_shrink else "cache_limit"
            raise ConfigError(f"{name} is of a cache, and cache = off: leave out one of them.")
        if len(self.mean) != len(self.std):
            raise ConfigError(f"mean has {len(self.mean)} numbers and std {len(self.std)}: give both or neither.")
        if any(value <= 0 for value in self.std):
            raise ConfigError(f"std = {', '.join(f'{v:g}' for v in self.std)}: each must be greater than 0.")


@dataclass(frozen=True, kw_only=True)
class LoaderConfig:
    """The options of torch.utils.data.DataLoader, with the meaning they have there."""

    batch_size: int = setting(BATCH_SIZE, "Images a step.", ge=1, le=1_000_000, short="b")
    shuffle: bool = setting(True, "A new order of the training images each epoch.")
    num_workers: int = setting(
        0,
        "Workers that read images ahead; 0 reads between two steps.",
        ge=0,
        le=256,
        short="j",
        aliases=("workers",),
    )
    worker_type: str = setting(
        "auto",
        "What a worker is: a thread, or a process; auto: threads, processes for your own datasets.",
        choices=("auto", "thread", "process"),
    )
    sampler: str = setting(
        "default",
        "Which training samples: all, weighted (classes equally often), or your own, path/to/file.py:Name.",
        metavar="NAME",
    )
    batch_sampler: str = setting("", "Your own batches of sample numbers, path/to/file.py:Name.", metavar="NAME")
    collate_fn: str = setting("", "Your own function from samples to a batch.", metavar="NAME")
    worker_init_fn: str = setting("", "Your own function that each worker process calls first.", metavar="NAME")
    multiprocessing_context: str = setting(
        "auto", "How worker processes start; auto: forkserver.", choices=("auto", "forkserver", "spawn", "fork")
    )
    steps_per_epoch: int | None = setting(
        None, "Batches of a stream that make an epoch; auto: until it ends.", unit="batches", ge=1
    )
    shuffle_buffer: int = setting(
        4096, "Rows of a stream that are held and shuffled, 128 MB of them at most.", unit="rows", ge=1, le=100_000_000
    )
    pin_memory: bool | None = setting(None, "Page-locked host memory; auto: on with a GPU.")
    drop_last: bool = setting(False, "Leave out the last batch of an epoch if it is not full.")
    timeout: float | None = setting(
        None, "Longest wait for a worker's batch; 0 waits for ever; auto: 600.", unit="seconds", ge=0
    )
    prefetch_factor: int | None = setting(None, "Batches read ahead by each worker; auto: 2.", ge=1, le=1000)
    persistent_workers: bool = setting(True, "Keep workers from one epoch to the next.")

    def __post_init__(self) -> None:
        if self.prefetch_factor is not None and self.num_workers == 0:
            raise ConfigError("prefetch_factor needs workers that read ahead: set num_workers to 1 or more.")
        if self.timeout and self.num_workers == 0:
            raise ConfigError("timeout is the wait for a worker: set num_workers to 1 or more.")
        self._check_order()
        self._check_processes()

    @property
    def hooks(self) -> tuple[str, ...]:
        """The settings that name code which runs in worker processes."""
        return tuple(name for name in ("batch_sampler", "collate_fn", "worker_init_fn") if getattr(self, name))

    def _check_order(self) -> None:
        for name in ("sampler", "batch_sampler", "collate_fn", "worker_init_fn"):
            given = getattr(self, name)
            if given and ":" not in given and not (name == "sampler" and given in ("default", "weighted")):
                more = "default, weighted or " if name == "sampler" else ""
                raise ConfigError(
                    f"{name} = {display(given, 60)}: give {more}path/to/file.py:Name or package.module:name."
                )
        if self.batch_sampler and self.sampler != "default":
            raise ConfigError("batch_sampler makes the batches itself: leave sampler at default.")
        if self.batch_sampler and (self.batch_size != BATCH_SIZE or self.drop_last):
            raise ConfigError("batch_sampler makes the batches itself: leave out batch_size and drop_last.")

    def _check_processes(self) -> None:
        asked = [name for name in ("worker_init_fn",) if getattr(self, name)]
        asked += ["multiprocessing_context"] * (self.multiprocessing_context != "auto")
        if asked and self.num_workers == 0:
            raise ConfigError(f"{asked[0]} is of worker processes: set num_workers to 1 or more.")
        asked += self.hooks
        if asked and self.num_workers and self.worker_type == "thread":
            raise ConfigError(f"{asked[0]} needs worker processes: leave worker_type at auto, or use process.")


HOW_SHOWN = (
    "image_size", "channels", "resize", "augment", "crop_scale", "cache", "cache_limit", "cache_shrink", "normalize",
    "mean", "std", "max_bad",
)  # fmt: skip
WHICH_SAMPLES = tuple(item.name for item in dataclasses.fields(DataConfig) if item.name not in HOW_SHOWN)
