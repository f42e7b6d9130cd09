"""The samples of a dataset: names, targets and parts in arrays. No torch here.

The names of all files lie in one byte blob with offsets, the targets in one array: a million
samples are two objects, which worker processes share instead of copying.
"""

from __future__ import annotations

import csv
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.errors import DataError
from tui_trainer.text import display

TRAIN, VAL, TEST = 0, 1, 2
PARTS = ("train", "val", "test")
CLASSIFICATION, REGRESSION, MULTILABEL = TASKS = ("classification", "regression", "multilabel")


@dataclass(frozen=True, kw_only=True)
class Index:
    """M samples: names relative to `root` in one blob, targets and parts as arrays of M.

    `inputs` says where a sample's input comes from; None: the image file of its name.
    """

    root: Path
    blob: bytes
    offsets: npt.NDArray[np.int64]  # (M + 1,)
    targets: npt.NDArray[Any]  # (M,) int32, or (M, K) float32 of several labels (0 or 1) or of numbers
    parts: npt.NDArray[np.uint8]  # (M,), of TRAIN, VAL, TEST
    classes: tuple[str, ...]  # or labels; empty where numbers are predicted
    warnings: tuple[str, ...] = ()
    task: str = CLASSIFICATION
    task_reason: str = "class folders"
    unit: str = "images"  # what a sample is called
    target_names: tuple[str, ...] = ()  # of the K numbers to predict
    content: bytes = b""  # hash of the inputs, where they are not files

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def outputs(self) -> int:
        """Numbers that a model puts out for a sample: one a class, a label or a number to predict."""
        return len(self.classes) or len(self.target_names)

    def name(self, index: int) -> bytes:
        """The path of a sample relative to the root, as the file system has it."""
        return self.blob[self.offsets[index] : self.offsets[index + 1]]

    def path(self, index: int) -> bytes:
        """The path of a sample."""
        return os.path.join(os.fsencode(self.root), self.name(index))

    def part(self, part: int) -> npt.NDArray[np.int64]:
        """The samples of a part."""
        return np.flatnonzero(self.parts == part)

    def counts(self, part: int) -> list[int]:
        """Samples of each class in a part; none where numbers are predicted."""
        if self.task != CLASSIFICATION:
            return self.targets[self.parts == part].sum(0).astype(int).tolist() if self.classes else []
        return np.bincount(self.targets[self.parts == part], minlength=len(self.classes)).tolist()  # type: ignore[no-any-return]

    def fingerprint(self) -> str:
        """Hash of names, targets, parts and classes: what must be the same to resume exactly."""
        digest = hashlib.sha256(self.blob)
        for array in (self.offsets, self.targets, self.parts):
            digest.update(array.tobytes())
        digest.update("\0".join((*self.classes, *self.target_names)).encode("utf-8", "surrogatepass"))
        digest.update(self.content)
        return digest.hexdigest()


def split(index: Index, val_fraction: float, seed: int) -> tuple[Index, list[str]]:
    """Hold out `val_fraction` of each class, at least one image, never the last one.

    A sample's place is a hash of (seed, its name), so that adding files moves few others.
    """
    parts, lonely = index.parts.copy(), []
    for number, name in enumerate(index.classes):
        members = np.flatnonzero(index.targets == number)
        if len(members) == 1:
            lonely.append(f"Class {display(name)} has one image only: it stays in the training part.")
            continue
        held_out = min(len(members) - 1, max(1, round(len(members) * val_fraction)))
        ranked = sorted(members.tolist(), key=lambda i: _rank(seed, index.name(i)))
        parts[ranked[:held_out]] = VAL
    if not (parts == VAL).any():
        raise DataError(f"Every class in {display(index.root)} has one image only: nothing is left to validate on.")
    return replace(index, parts=parts), lonely


def _rank(seed: int, name: bytes) -> bytes:
    return hashlib.blake2b(name, digest_size=8, key=seed.to_bytes(8, "little")).digest()


def write_split(index: Index, path: Path) -> None:
    """`split.csv`: path, target and part of every sample. Names that are not UTF-8 keep their bytes."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "target", "part"))
        for i in range(len(index)):
            rows.writerow((os.fsdecode(index.name(i)), index.classes[index.targets[i]], PARTS[index.parts[i]]))
