"""The samples of a dataset: names, targets and parts in arrays. No torch here.

The names of all files lie in one byte blob with offsets, the targets in one array: a million
samples are a few objects, which worker processes share instead of copying.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from tui_trainer.data.header import MEGAPIXELS
from tui_trainer.data.index_file import IndexFile, reopen
from tui_trainer.data.names import Names
from tui_trainer.errors import DataError
from tui_trainer.text import display
from tui_trainer.whole_file import replacing

if TYPE_CHECKING:
    from tui_trainer.data.plan import Plan
    from tui_trainer.data.raw import RowSource
    from tui_trainer.data.stream_columns import Chosen

TRAIN, VAL, TEST = 0, 1, 2
PARTS = ("train", "val", "test")
CLASSIFICATION, REGRESSION, MULTILABEL = TASKS = ("classification", "regression", "multilabel")
_MAPPED = ("names", "targets", "parts", "file")
TARGETS = "targets.json"  # counted, beside them
PLANS = ("plan.npz", "val_plan.npz")  # in the folder of a run over a stream


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """What is in a column of a table. `role`: input, target, part or ignored; `kind`: number, whole number or text."""

    name: str
    role: str
    kind: str
    missing: int
    different: int
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Inputs that are rows of F numbers. `encoding`: how they come from the columns, as values that JSON holds."""

    features: npt.NDArray[np.float32]  # (M, F)
    names: tuple[str, ...]
    encoding: tuple[Mapping[str, Any], ...]
    facts: tuple[ColumnFacts, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Own:
    """Inputs of `shape` that the user's own datasets yield: of training, and of validation if there is one.

    `streams`: they have no length and no items by number.
    """

    datasets: tuple[Any, ...]
    shape: tuple[int, ...]
    streams: bool = False


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Inputs that are read block by block in the order of their source: rows of numbers, or images (no `names`).

    `sources`, `plans`: of training, and of validation if it has its own; else `val_fraction` of the first is held out.
    """

    sources: tuple[RowSource, ...]
    plans: tuple[Plan, ...]
    chosen: Chosen
    base: str  # folder that paths of images are relative to
    val_fraction: float
    seed: int  # of the hash that holds rows out
    counts: tuple[tuple[int, ...], ...]  # of each part and class
    names: tuple[str, ...] = ()  # of F inputs
    encoding: tuple[Mapping[str, Any], ...] = ()
    facts: tuple[ColumnFacts, ...] = ()
    looked_at: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)  # training rows spread over the source
    target_moments: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    counted: str = field(default="", repr=False)  # the targets, as JSON that a run keeps beside its plans
    row_bytes: float = 0.0  # of a row of a database, about
    follow: bool = False  # the source grows, and is read as it does

    @property
    def source(self) -> RowSource:
        """That of the training part."""
        return self.sources[0]

    def origin(self, part: int) -> tuple[RowSource, Plan, int]:
        """Where a part comes from, and which of the plan's parts it is."""
        if len(self.sources) == 1:
            return self.sources[0], self.plans[0], part
        return self.sources[part], self.plans[part], TRAIN

    def size(self, part: int) -> int:
        """Rows of a part."""
        if part == TEST:
            return 0
        _, plan, column = self.origin(part)
        return plan.size(column)


class Pictures(Protocol):
    """Images that are no files; `size`: width and height, if all have the same."""

    size: tuple[int, int] | None

    def encoded(self, index: int) -> bytes:
        """An image as the bytes of an image file."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """M samples: names relative to `root`, targets and parts as arrays of M.

    `inputs` says where a sample's input comes from; None: the image file of its name.
    """

    root: Path
    names: Names
    targets: npt.NDArray[Any]  # (M,) int32, or (M, K) float32 of several labels (0 or 1) or of numbers
    parts: npt.NDArray[np.uint8]  # (M,), of TRAIN, VAL, TEST
    classes: tuple[str, ...]  # or labels; empty where numbers are predicted
    warnings: tuple[str, ...] = ()
    task: str = CLASSIFICATION
    task_reason: str = "class folders"
    unit: str = "images"  # what a sample is called
    target_names: tuple[str, ...] = ()  # of the K numbers to predict
    inputs: Rows | Pictures | Own | Stream | None = None
    chosen: tuple[tuple[str, Any, str], ...] = ()  # settings that the data decides: name, value, why
    max_megapixels: float = MEGAPIXELS  # of an image that is decoded
    content: bytes = b""  # hash of the inputs, where they are not files
    file: IndexFile | None = field(default=None, compare=False, repr=False)  # that the arrays are mapped from

    def __len__(self) -> int:
        return len(self.targets)

    def __reduce__(self) -> tuple[Any, ...]:
        """To a worker process goes the name of the file that holds the arrays, if they are its own still."""
        others = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _MAPPED}
        file, arrays = self.file, self.arrays()
        if file is not None and file.names is self.names and all(file.arrays.get(k) is v for k, v in arrays.items()):
            return _mapped, (file.path, file.token, others)
        return _whole, ({"names": self.names, **arrays, **others},)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is as long as the dataset, beside the names."""
        return {"targets": self.targets, "parts": self.parts}

    @property
    def pictures(self) -> Pictures | None:
        """Images that are no files, if these samples are such."""
        return None if self.inputs is None or isinstance(self.inputs, Rows | Own | Stream) else self.inputs

    @property
    def outputs(self) -> int:
        """Numbers that a model puts out for a sample: one a class, a label or a number to predict."""
        return len(self.classes) or len(self.target_names)

    def name(self, index: int) -> bytes:
        """The path of a sample relative to the root, as the file system has it."""
        return self.names[index]

    def target_in_words(self, index: int) -> str:
        """The class of a sample, its labels, or its numbers."""
        target = self.targets[index]
        if self.task == CLASSIFICATION:
            return self.classes[int(target)]
        if self.task == MULTILABEL:
            return "|".join(name for name, flag in zip(self.classes, target.tolist(), strict=True) if flag)
        return " ".join(f"{value:.9g}" for value in target.tolist())

    def path(self, index: int) -> bytes:
        """The path of a sample."""
        return os.path.join(os.fsencode(self.root), self.name(index))

    def part(self, part: int) -> npt.NDArray[np.int64]:
        """The samples of a part."""
        return np.flatnonzero(self.parts == part)

    def size(self, part: int) -> int:
        """How many samples a part has."""
        return self.inputs.size(part) if isinstance(self.inputs, Stream) else int((self.parts == part).sum())

    def counts(self, part: int) -> list[int]:
        """Samples of each class in a part; none where numbers are predicted."""
        if isinstance(self.inputs, Stream):
            return list(self.inputs.counts[part]) if self.classes else []
        if self.task != CLASSIFICATION:
            return self.targets[self.parts == part].sum(0).astype(int).tolist() if self.classes else []
        return np.bincount(self.targets[self.parts == part], minlength=len(self.classes)).tolist()  # type: ignore[no-any-return]

    def fingerprint(self) -> str:
        """Hash of names, targets, parts and classes: what must be the same to resume exactly."""
        digest = hashlib.sha256()
        self.names.feed(digest)
        for array in (self.targets, self.parts):
            digest.update(np.ascontiguousarray(array).data)
        digest.update("\0".join((*self.classes, *self.target_names)).encode("utf-8", "surrogatepass"))
        digest.update(self.content)
        return digest.hexdigest()


def _mapped(path: Path, token: str, others: dict[str, Any]) -> Index:
    file = reopen(path, token)
    return _whole({"names": file.names, "file": file, **file.arrays, **others})


def _whole(values: dict[str, Any]) -> Index:
    return Index(**values)


def split(index: Index, val_fraction: float, seed: int) -> tuple[Index, list[str]]:
    """Hold out `val_fraction` of each class, or of all where there are no classes: at least one, never the last one.

    A sample's place is a hash of (seed, its name), so that adding files moves few others.
    """
    parts, lonely, rank = index.parts.copy(), [], index.names.ranks(seed)
    one = index.unit.removesuffix("s")
    for name, members in _groups(index):
        if len(members) == 1:
            lonely.append(f"Class {display(name)} has one {one} only: it stays in the training part.")
            continue
        held_out = min(len(members) - 1, max(1, round(len(members) * val_fraction)))
        parts[members[_smallest(rank[members], held_out)]] = VAL
    if not (parts == VAL).any():
        raise DataError(f"Every class in {display(index.root)} has one {one} only: nothing is left to validate on.")
    return replace(index, parts=parts), lonely


def _smallest(ranks: npt.NDArray[np.uint64], count: int) -> npt.NDArray[np.int64]:
    """Where the smallest are; of equal ones, which are samples of one name, the first."""
    found = np.flatnonzero(ranks <= np.partition(ranks, count - 1)[count - 1])
    return found if len(found) == count else np.argsort(ranks, kind="stable")[:count]


def _groups(index: Index) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """The samples that are split together: those of a class, or all."""
    if index.task != CLASSIFICATION:
        yield "", np.arange(len(index))
        return
    ends = np.bincount(index.targets, minlength=len(index.classes)).cumsum()
    yield from zip(index.classes, np.split(np.argsort(index.targets, kind="stable"), ends[:-1]), strict=True)


def write_split(index: Index, path: Path) -> None:
    """`split.csv`: path, target and part of every sample. Names that are not UTF-8 keep their bytes.

    Of a stream its plan, beside it: a run that is resumed goes on with the same rows, whatever was added since.
    """
    if isinstance(index.inputs, Stream):
        for number, plan in enumerate(index.inputs.plans):
            with replacing(path.with_name(PLANS[number])) as whole:
                whole.write(plan.to_bytes())
        with replacing(path.with_name(TARGETS)) as whole:
            whole.write(index.inputs.counted.encode())
    with replacing(path) as whole:
        file = io.TextIOWrapper(whole, encoding="utf-8", errors="surrogateescape", newline="")
        rows = csv.writer(file)
        rows.writerow(("path", "target", "part"))
        for i in range(len(index)):
            rows.writerow((os.fsdecode(index.name(i)), index.target_in_words(i), PARTS[index.parts[i]]))
        file.detach()  # what is left is written, and `whole` stays open
