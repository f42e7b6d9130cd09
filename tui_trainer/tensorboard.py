"""A recorder for TensorBoard: curves, confusion matrix and hyperparameters as its event files (`--tensorboard`).

The runs `train` and `val` carry the same tags, so that TensorBoard draws both curves into one chart; x is the step.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tui_trainer.config import SETTINGS, Config
from tui_trainer.errors import ConfigError
from tui_trainer.events import Evaluated, Event, Progress, RunEnded, RunStarted
from tui_trainer.settings import Value
from tui_trainer.text import display

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PARTS = ("train", "val")
FLUSH = 10.0  # seconds after which what was recorded is on disk
SIDE = 512  # pixels of a confusion matrix, where its classes have room in them
NAMED = 40  # classes that are named beside the matrix
LETTERS = 12  # of a name there

ALWAYS = ("data", "model", "epochs", "batch_size", "lr", "optimizer", "weight_decay", "augment", "seed")

Matrix = npt.NDArray[np.int64]


def require() -> None:
    """Refuse where the packages are not installed.

    Raises:
        ConfigError: they are not.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError("--tensorboard needs a package: pip install 'tui-trainer[tensorboard]'; or leave it out.")


def hyperparameters(config: Config) -> dict[str, Value]:
    """What a person compares runs by: the usual settings, and each one that differs from its default."""
    values = config.values()
    return {
        name: values[name]
        for name, item in SETTINGS.items()
        if item.table != "run" and (name in ALWAYS or values[name] != item.default)
    }


class TensorBoard:
    """`tensorboard/` of a run. `settings`: its hyperparameters; `confusion`: counts (true, predicted), if there are."""

    def __init__(self, folder: Path, settings: Mapping[str, Value], confusion: Callable[[], Matrix | None]) -> None:
        self._folder, self._confusion = folder, confusion
        self._settings = {name: _plain(value) for name, value in settings.items()}
        self._classes: tuple[str, ...] = ()
        self._writers: dict[str, SummaryWriter] = {}
        self._session_end: Any = None

    def __call__(self, event: Event) -> None:
        """Keep its numbers."""
        if isinstance(event, RunStarted):
            self._classes = event.classes
            self._open(event.step)
        elif isinstance(event, Progress) and event.part == "train":
            told = {"lr": event.lr, "images_per_second": event.images_per_second, "data_wait": event.data_wait}
            batch = {f"batch/{name}": value for name, value in _of("batch", event.metrics).items()}
            self._scalars("train", {**batch, **told}, event)
        elif isinstance(event, Evaluated):
            self._epoch(event)
        elif isinstance(event, RunEnded) and self._session_end is not None:
            self._summary(self._session_end, event)

    def close(self) -> None:
        """The rest goes to disk."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _open(self, step: int) -> None:
        """Where a run goes on, what was recorded beyond its checkpoint does not count any more."""
        from torch.utils.tensorboard import SummaryWriter

        for part in PARTS:
            folder = self._folder / part
            purge = step + 1 if folder.is_dir() else None
            self._writers[part] = SummaryWriter(str(folder), purge_step=purge, flush_secs=FLUSH)

    def _epoch(self, event: Evaluated) -> None:
        self._scalars("train", {**_of("train", event.metrics), "epoch": event.epoch + 1}, event)
        self._scalars("val", _of("val", event.metrics), event)
        counts = self._confusion()
        if counts is not None and "val" in self._writers:
            picture = confusion_picture(counts, self._classes)
            self._writers["val"].add_image("confusion", picture, event.step, event.time, dataformats="HWC")
        if self._session_end is None:
            self._hyperparameters(event)
        for writer in self._writers.values():
            writer.flush()

    def _scalars(self, part: str, values: Mapping[str, float], event: Progress | Evaluated) -> None:
        if (writer := self._writers.get(part)) is not None:
            for name, value in values.items():
                writer.add_scalar(name, value, event.step, event.time)

    def _hyperparameters(self, event: Evaluated) -> None:
        """With the metrics of `val`, in whose run they stand, for TensorBoard's table of runs."""
        from torch.utils.tensorboard.summary import hparams

        experiment, begin, self._session_end = hparams(self._settings, _of("val", event.metrics))
        self._summary(experiment, event)
        self._summary(begin, event)

    def _summary(self, summary: Any, event: Event) -> None:
        if (writer := self._writers.get("val")) is not None:
            files: Any = writer.file_writer
            files.add_summary(summary, 0, event.time)


def _of(part: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a part, without its name."""
    return {name.removeprefix(f"{part}_"): v for name, v in metrics.items() if name.startswith(f"{part}_")}


def _plain(value: Value) -> bool | int | float | str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "auto" if value is None else value


def confusion_picture(counts: Matrix, classes: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Counts (C, C) as an RGB picture (H, W, 3): a row a true class, green where right, red where not."""
    import cv2

    cell = max(1, SIDE // len(counts))
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
    right = np.eye(len(counts), dtype=bool)[..., None]
    full = np.where(right, (46, 139, 87), (192, 57, 43))
    small = (255 - share[..., None] * (255 - full)).astype(np.uint8)
    picture = np.repeat(np.repeat(small, cell, 0), cell, 1)
    if len(counts) > NAMED:
        return picture
    margin = 9 * LETTERS
    picture = cv2.copyMakeBorder(picture, 20, 0, margin, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255))

    def write(text: str, x: int, y: int) -> None:
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)

    for row, name in enumerate(classes):
        middle = 24 + row * cell + cell // 2
        write(_ascii(name, LETTERS), 2, middle)
        write(_ascii(name, max(1, cell // 9)), margin + row * cell + 2, 14)
        for column in np.flatnonzero(counts[row]).tolist():
            write(f"{counts[row, column]}", margin + column * cell + 2, middle)
    return np.asarray(picture, np.uint8)


def _ascii(name: str, letters: int) -> str:
    """What OpenCV's own font can write."""
    return display(name, letters).encode("ascii", "replace").decode()
