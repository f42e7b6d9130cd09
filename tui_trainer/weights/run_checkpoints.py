"""This program's own run folders as weight files: which of a run's files to take."""

from __future__ import annotations

import re
from pathlib import Path

from tui_trainer.errors import WeightsError
from tui_trainer.text import display
from tui_trainer.weights.limits import MAX_CLASS_NAME, MAX_CLASS_NAMES, UnreadableError
from tui_trainer.weights.strict_json import parsed

_STEP = re.compile(r"step-(\d{1,15})\.pt")


def weight_file_of(path: Path) -> Path:
    """`path`, or of a run folder its best, else its final, else its last checkpoint.

    Raises:
        WeightsError: `path` is a folder without checkpoints.
    """
    if not _is_folder(path):
        return path
    try:
        folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
        for name in ("best.safetensors", "final.safetensors"):
            if (folder / name).is_file():
                return folder / name
        steps = [(int(match[1]), entry) for entry in folder.iterdir() if (match := _STEP.fullmatch(entry.name))]
    except (OSError, ValueError) as error:
        raise WeightsError(f"the folder cannot be read ({type(error).__name__}): {display(path)}: check it.") from None
    if not steps:
        raise WeightsError(
            f"a weight file is expected, and this folder has no checkpoints: {display(path)}: give the file itself."
        )
    step, newest = max(steps)
    if next(folder.glob(f"step-{step}.shards*"), None):
        raise WeightsError(
            f"{display(path)} has no weights in one file yet, only a checkpoint that is shared out among processes: "
            "go on with the run by --resume until an epoch has ended, or stop and save it."
        )
    return newest


def _is_folder(path: Path) -> bool:
    """Whether `path` is a folder; names that no file can have are none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def class_names(metadata: dict[str, str]) -> tuple[str, ...]:
    """The class names that a safetensors file's metadata lists as JSON, under `classes` or `class_names`."""
    for key in ("classes", "class_names"):
        try:
            names = parsed(f'{{"names": {metadata[key]}}}'.encode()).get("names")
        except (KeyError, UnreadableError, UnicodeError):
            continue
        texts = isinstance(names, list) and all(isinstance(name, str) and len(name) <= MAX_CLASS_NAME for name in names)
        if isinstance(names, list) and texts and len(names) <= MAX_CLASS_NAMES:
            return tuple(names)
    return ()
