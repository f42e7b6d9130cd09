"""The runs that are on disk, each in a few words, read from the ends of their files."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer import events
from tui_trainer.config import read_toml
from tui_trainer.errors import ConfigError, UserError
from tui_trainer.events import RunEnded, RunStarted, SettingChanged
from tui_trainer.metric_names import headline, in_words, label
from tui_trainer.run_folder import RunFolder, runs_root
from tui_trainer.run_lock import is_running
from tui_trainer.settings import Value
from tui_trainer.text import display

MAX_NOTE = 2000  # characters
TAIL = 8192  # bytes in which the last event of a run surely begins


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A run as a list shows it. `curve`: the `metric` that counts, of each epoch."""

    folder: RunFolder
    state: str
    settings: dict[str, Value]
    curve: tuple[float, ...]
    epochs: int
    changed: float
    metric: str = "val_top1"
    seconds: float = 0.0
    note: str = ""

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.path.name

    @property
    def best(self) -> float | None:
        """The best value of its metric."""
        return max(self.curve, default=None)

    @property
    def best_in_words(self) -> str:
        """The best value as it is shown: 98.20%, or 0.9991 R2; empty if there is none."""
        if self.best is None:
            return ""
        name = self.metric.partition("_")[2]
        return in_words(name, self.best) + ("" if name == "top1" else f" {label(name)}")


SORTS: dict[str, Callable[[PastRun], Any]] = {
    "changed": lambda run: -run.changed,
    "best": lambda run: (run.best is None, -(run.best or 0.0)),
    "name": lambda run: run.name,
    "epochs": lambda run: -run.epochs,
    "time": lambda run: -run.seconds,
}


TREE = "tree"
ORDERS = (*SORTS, TREE)


def ordered(runs: Sequence[PastRun], order: str) -> list[tuple[PastRun, int]]:
    """Runs by one of ORDERS, each with its depth: in the tree a branch stands below the run that it began at."""
    if order != TREE:
        return [(run, 0) for run in sorted(runs, key=SORTS[order])]
    by_path = {run.folder.path.resolve(): run for run in runs}

    def line(run: PastRun) -> list[PastRun]:
        found = [run]
        while (parent := by_path.get(Path(str(found[0].settings.get("branch")).rpartition("@")[0]))) and (
            parent not in found
        ):
            found.insert(0, parent)
        return found

    lines = sorted((line(run) for run in runs), key=lambda line: [(-run.changed, run.name) for run in line])
    return [(line[-1], len(line) - 1) for line in lines]


def twig(depth: int) -> str:
    """What stands before the name of a run of this depth."""
    return f"{'  ' * (depth - 1)}└ " if depth else ""


def matches(run: PastRun, text: str) -> bool:
    """Whether the text occurs in the run's name, state, model, data or note."""
    facts = (run.name, run.state, run.settings.get("model", ""), run.settings.get("data", ""), run.note)
    return text.lower() in " ".join(map(str, facts)).lower()


def past_runs(root: Path | None = None, most: int = 50) -> list[PastRun]:
    """The newest runs below `root`, newest first; folders that hold no run are passed over."""
    root = root or runs_root()
    try:
        folders = [RunFolder(path) for path in root.iterdir() if path.is_dir()]
    except OSError:
        return []
    dated = sorted(((_changed(folder), folder) for folder in folders if folder.holds_a_run()), key=_age, reverse=True)
    return [read_run(folder) for _, folder in dated[:most]]


def _age(dated: tuple[float, RunFolder]) -> float:
    return dated[0]


def _changed(folder: RunFolder) -> float:
    with contextlib.suppress(OSError):
        return max((path.stat().st_mtime for path in (folder.events, folder.config) if path.exists()), default=0.0)
    return 0.0


def read_run(folder: RunFolder) -> PastRun:
    """A run in a few words; whatever of it cannot be read is left empty."""
    settings: dict[str, Value] = {}
    with contextlib.suppress(UserError):
        settings = read_toml(folder.config)
    metric = f"val_{headline(_columns(folder))}"
    curve = tuple(_column(folder, metric))
    last = last_event(folder)
    if isinstance(last, RunEnded):
        state = last.outcome.replace("_", " ")
    else:
        state = "running" if is_running(folder) else "ended without a word"
    return PastRun(
        folder=folder,
        state=state,
        settings=settings,
        curve=curve,
        epochs=len(curve),
        changed=_changed(folder),
        metric=metric,
        seconds=getattr(last, "seconds", 0.0),
        note=_note(folder),
    )


def _note(folder: RunFolder) -> str:
    with contextlib.suppress(OSError):
        return folder.note.read_text("utf-8", "replace")[:MAX_NOTE].strip()
    return ""


def write_note(folder: RunFolder, text: str) -> None:
    """Keep what a person wants to remember of a run; nothing takes the note away."""
    if text.strip():
        folder.note.write_text(text.strip()[:MAX_NOTE] + "\n", "utf-8")
    else:
        folder.note.unlink(missing_ok=True)


def rename(folder: RunFolder, name: str) -> RunFolder:
    """Give the folder of a run another name, beside where it is.

    Raises:
        ConfigError: it is training, the name is taken, or is none.
    """
    _require_idle(folder)
    path = folder.path.with_name(name) if name not in ("", ".", "..") and "/" not in name else None
    if path is None or path.exists():
        raise ConfigError(f"{display(name)} cannot be the run's name: it is taken, or is not one folder name.")
    try:
        folder.path.rename(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"Cannot rename {display(folder.path)}: {display(error)}.") from None
    return RunFolder(path)


def delete(folder: RunFolder) -> None:
    """Remove a run with all its files.

    Raises:
        ConfigError: it is training, or its files cannot be removed.
    """
    _require_idle(folder)
    try:
        shutil.rmtree(folder.path)
    except OSError as error:
        raise ConfigError(f"Cannot remove {display(folder.path)}: {error.strerror}.") from None


def _require_idle(folder: RunFolder) -> None:
    if is_running(folder):
        raise ConfigError(f"{display(folder.path)} is training: stop it first (tui-trainer send RUN stop).")


def as_given(run: PastRun) -> dict[str, Value]:
    """Its settings without those that were chosen for its own model and data, which another one may need otherwise."""
    chosen = set[str]()
    with contextlib.suppress(OSError):
        for event in run.folder.read_events():
            if isinstance(event, RunStarted):
                break
            if isinstance(event, SettingChanged) and event.name != "pretrained":
                chosen.add(event.name)
    return {name: value for name, value in run.settings.items() if name not in chosen}


def last_event(folder: RunFolder) -> events.Event | None:
    """The last event of a run that is whole."""
    with contextlib.suppress(OSError), folder.events.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        for line in reversed(file.read().splitlines()):
            with contextlib.suppress(ValueError):
                return events.from_json(line.decode("ascii"))
    return None


def _columns(folder: RunFolder) -> list[str]:
    with contextlib.suppress(OSError, ValueError), folder.metrics.open(encoding="ascii") as file:
        return file.readline().strip().split(",")
    return []


def _column(folder: RunFolder, name: str) -> Iterable[float]:
    with contextlib.suppress(OSError, ValueError, csv.Error), folder.metrics.open(encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            if row.get(name) and math.isfinite(float(row[name])):
                yield float(row[name])


def sample_data() -> Path | None:
    """The handwritten digits that come along, if they are there."""
    here = Path(__file__).resolve().parent
    return next((path for path in (here / "digits", here.parent / "sample_data" / "digits") if path.is_dir()), None)
