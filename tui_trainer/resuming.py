"""Going on with a run: what must be the same, what may be changed, and where it stood."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from tui_trainer.config import Config
from tui_trainer.data.index import PARTS, Index
from tui_trainer.engine import checkpoint
from tui_trainer.engine.job import Job
from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.events import Event, Warned
from tui_trainer.run_folder import RunFolder, find_run
from tui_trainer.settings import Value
from tui_trainer.text import display

# What may differ from the run that is resumed: none of it changes which samples are seen or what is learned
# from them, or (epochs, lr, patience, min_delta) changing it is what the user asks for.
MAY_CHANGE = {
    "epochs", "lr", "patience", "min_delta", "min_epochs", "max_minutes",
    "num_workers", "prefetch_factor", "persistent_workers", "timeout",
    "worker_type", "pin_memory", "device", "threads", "deterministic", "keep_checkpoints",
    "checkpoint_every", "keep_every", "auto_batch", "tensorboard", "output_dir", "name", "resume", "branch", "max_bad",
    "trust_code", "nproc", "strategy", "max_restarts", "allow_changed_data", "worker_init_fn",
    "multiprocessing_context",
    "data", "val_data", "data_root", "targets",  # the fingerprint guards them: a dataset may have moved
}  # fmt: skip


class Saved:
    """A run that is to go on, at its newest whole checkpoint."""

    def __init__(self, config: Config) -> None:
        self.folder: RunFolder = find_run(config.run.resume)
        self.news: list[Event] = []
        self.state: dict[str, Any] = checkpoint.load_newest(self.folder.checkpoints, self._warn)
        self.values: dict[str, Value] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in self.state["config"].items()
        }
        self._refuse_another_recipe(config)

    def _warn(self, text: str) -> None:
        self.news.append(Warned(topic="checkpoint", message=text))

    def _refuse_another_recipe(self, config: Config) -> None:
        changed = [
            name
            for name, value in config.values().items()
            if name not in MAY_CHANGE and name in self.values and value != self.values[name]
        ]
        if _step_size(self.values) == _step_size(config.values()):
            changed = [name for name in changed if name not in STEP]
        if changed:
            what = ", ".join(changed)
            raise ConfigError(
                f"A run is resumed with the settings it began with: {what} cannot change. Start a new run."
            )

    def with_threads(self, config: Config) -> Config:
        """The configuration with the number of CPU threads that the run began with, where it leaves that open."""
        return config if config.recipe.threads else config.replace(threads=self.values.get("threads"))

    def require_same_data(self, index: Index, *, allow: bool) -> None:
        """Refuse another dataset, unless changes are to be allowed; other classes are never.

        Raises:
            WeightsError: files, classes or the split have changed since the run began.
        """
        if self.state["fingerprint"] == index.fingerprint():
            return
        what = differences(self.folder.split, index) or "the files are the same, their content is not"
        if self.state["classes"] != list(index.classes):
            raise WeightsError(
                f"The classes are not those that {display(self.folder.path)} learned: {what}. Restore them, or start "
                f"a new run with --pretrained {display(self.folder.path)}."
            )
        if not allow:
            raise WeightsError(
                f"The dataset is not the one that {display(self.folder.path)} began with: {what}. Restore it, start a "
                "new run, or go on with --allow-changed-data."
            )
        self._warn(f"Not bit-exact: the dataset has changed since the run began: {what}.")

    def restore(self, job: Job, given: Collection[str]) -> None:
        """Put the job where the run stood; a setting changed while it ran stays changed, unless given anew."""
        before, now = self.values["batch_size"], job.train_loader.batch_size
        if isinstance(before, int) and self.values["grad_accum_steps"] != job.grad_accum_steps:
            place = self.state["state"]
            place["batch"] = place["batch"] * before // now
            place["batch"] = min(place["batch"], job.train_loader.batches or place["batch"])
            self._warn(f"Not bit-exact: the same steps, of batches of {now} where they were of {before}.")
        job.load_dict(self.state)
        for name, value in self.state["live"].items():
            if name not in given and getattr(job, name) == self.values[name]:
                setattr(job, name, value)
        for name, words in CIRCUMSTANCES.items():
            before, now = self.state.get(name), job.checkpoint_extra[name]
            if before is not None and before != now:
                self._warn(f"Not bit-exact: the run was saved {words.format(display(before))}, and now it is {now}.")


STEP = ("batch_size", "grad_accum_steps")  # both may change if their product, the samples of a step, stays


def _step_size(values: Mapping[str, Value]) -> int:
    return math.prod(int(str(values[name])) for name in STEP)


# What a checkpoint says of where it was made, and how that reads in a sentence.
CIRCUMSTANCES = {
    "torch": "by torch {}",
    "torchvision": "with torchvision {}",
    "opencv": "with OpenCV {}",
    "numpy": "with numpy {}",
    "threads": "with {} CPU threads (--threads)",
    "device": "on {} (--device)",
}


def circumstances(device: torch.device) -> dict[str, Any]:
    """What the last bits of a result depend on beside settings and data; a device's number does not matter."""
    versions = {name: _version(name) for name in ("torch", "torchvision", "numpy")}
    return {
        **versions,
        "opencv": _version("opencv-python") or _version("opencv-python-headless"),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def differences(split: Path, index: Index) -> str:
    """What has changed between a run's `split.csv` and the dataset as it is: how many, with an example of each."""
    before, now = _split_of(split), {os.fsdecode(index.name(i)): index.parts[i] for i in range(len(index))}
    gone, new = [name for name in before if name not in now], [name for name in now if name not in before]
    homes = {_last(name): name for name in new}
    renamed = [name for name in gone if _last(name) in homes]
    there = {homes[_last(name)] for name in renamed}
    moved = [name for name in now if name in before and PARTS[now[name]] != before[name]]
    found = {
        "added": [name for name in new if name not in there],
        "removed": [name for name in gone if name not in renamed],
        "moved to another folder": renamed,
        "moved to another part": moved,
    }
    return ", ".join(f"{len(names)} {what} ({display(names[0], 60)})" for what, names in found.items() if names)


def _last(name: str) -> str:
    """The file's own name; a million of them, for which a Path each takes seconds."""
    return name.rpartition("/")[2]


def _split_of(path: Path) -> dict[str, str]:
    """The part of each sample, by its path."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return {row["path"]: row["part"] for row in csv.DictReader(file)}
    except (OSError, KeyError, csv.Error):
        return {}
