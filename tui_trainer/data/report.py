"""What is in a dataset and what is wrong with it: values and words. No torch here.

`examine.examine` makes reports; the command line and the screen print the same one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.data.index import CLASSIFICATION, PARTS, REGRESSION, TRAIN, VAL
from tui_trainer.text import bad_in_words, display

NAMED = 3  # names in a sentence
KINDS = 4  # of colours that are named
FEW = 10  # training images with which a class is hardly learned
UNEVEN = 10.0  # ratio of the largest class to the smallest that is worth a warning


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Width and height in pixels: the smallest, the median and the largest of each, upright."""

    widths: tuple[int, int, int]
    heights: tuple[int, int, int]

    def in_words(self) -> str:
        """One size, or the median and the range."""
        (w0, w, w1), (h0, h, h1) = self.widths, self.heights
        if w0 == w1 and h0 == h1:
            return f"all {w}x{h}"
        return f"median {w}x{h}, from {w0}x{h0} to {w1}x{h1}"


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Files with the same content. `across_parts`: in train and held out both; `across_classes`: under two labels."""

    names: tuple[bytes, ...]
    across_parts: bool
    across_classes: bool


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is known so far. `counts`: images of each part and class; `looked_at`, `compared`, `decoded`: images."""

    root: Path
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    images: int
    task: str = CLASSIFICATION
    target: str = ""  # what is predicted, in words
    looked_at: int = 0
    compared: int = 0
    decoded: int = 0
    undecodable: int = 0  # of those decoded
    sizes: Sizes | None = None
    colours: tuple[tuple[str, int], ...] = ()  # most frequent first
    bad: tuple[tuple[bytes, str], ...] = ()  # name relative to the root, reason
    bad_in_part: tuple[int, int, int] = (0, 0, 0)  # train, val, test
    copies: tuple[Copies, ...] = ()
    notes: tuple[str, ...] = ()  # what the scan warned of
    item: str = ""  # of a stream of one's own, of which nothing is counted: what came back first
    stage: str = ""  # what is being looked at: headers, contents, or decoded; empty at the end

    @property
    def in_part(self) -> tuple[int, ...]:
        """Images of each part."""
        return tuple(sum(counts) for counts in self.counts)

    @property
    def in_train(self) -> tuple[int, ...]:
        """Training images of each class."""
        return self.counts[TRAIN]

    @property
    def in_class(self) -> tuple[int, ...]:
        """Images of each class."""
        return tuple(map(sum, zip(*self.counts, strict=True)))

    @property
    def balance(self) -> float:
        """Training images of the largest class for one of the smallest."""
        train = self.in_train
        return max(train) / max(1, min(train))

    @property
    def bad_share(self) -> float:
        """The part of all images that cannot be read, as far as was looked."""
        headers = (len(self.bad) - self.undecodable) / max(1, self.looked_at)
        return headers + (1 - headers) * self.undecodable / max(1, self.decoded)

    def faults(self) -> list[str]:
        """What is wrong with the files, a sentence each; what a run is told before it starts."""
        return [*self._about_copies(), *self._about_bad()]

    def facts(self) -> list[tuple[str, str]]:
        """Label and text of what there is."""
        if self.item:
            known = "as many as the stream has, which is known when an epoch of it has ended"
            of_classes = self.task == CLASSIFICATION
            return [
                ("samples", known),
                ("looked at", self.item),
                ("classes" if of_classes else "predicts", self.target),
            ]
        parts = ", ".join(f"{n:,} {part}" for n, part in zip(self.in_part, PARTS, strict=True) if n)
        bad = bad_in_words([b for n, b in zip(self.in_part, self.bad_in_part, strict=True) if n])
        found = [("images", f"{self.images:,}: {parts}{bad}"), self._targets_in_words()]
        if self.sizes:
            found.append(("size", self.sizes.in_words()))
        if self.colours:
            found.append(("colours", self._colours_in_words()))
        return [*found, ("looked at", self.coverage())]

    def _targets_in_words(self) -> tuple[str, str]:
        if self.task == REGRESSION:
            return "predicts", self.target
        return "classes" if self.task == CLASSIFICATION else "labels", self._classes_in_words()

    def _classes_in_words(self) -> str:
        train, number = np.array(self.in_train), f"{len(self.classes):,}"
        most, least = int(train.argmax()), int(train.argmin())
        if train[most] == train[least]:
            return f"{number}, each with {train[most]:,} in train"
        if self.balance < 2:
            return f"{number}, with {train[least]:,} to {train[most]:,} in train"
        largest, smallest = display(self.classes[most], 24), display(self.classes[least], 24)
        ratio = f"{self.balance:.1f} to 1" if self.balance < UNEVEN else f"{self.balance:,.0f} to 1"
        return f"{number}, largest to smallest {ratio} ({largest} {train[most]:,}, {smallest} {train[least]:,})"

    def _colours_in_words(self) -> str:
        total = sum(n for _, n in self.colours)
        if len(self.colours) == 1:
            return f"all {self.colours[0][0]}"
        words = ", ".join(f"{_percent(n / total)} {name}" for name, n in self.colours[:KINDS])
        return words + (f", {len(self.colours) - KINDS} other kinds" if len(self.colours) > KINDS + 1 else "")

    def coverage(self) -> str:
        """How much was looked at so far."""
        if self.stage:
            done = {"headers": self.looked_at, "contents": self.compared}.get(self.stage)
            count = f"{self.decoded:,}" if done is None else f"{done:,} of {self.images:,}"
            return f"{count} {self.stage} ..."
        if self.looked_at == self.compared == self.images:
            readable = self.images - len(self.bad)
            return f"all files, {'all' if self.decoded >= readable else f'{self.decoded:,}'} decoded"
        headers, contents = (_of(n, self.images) for n in (self.looked_at, self.compared))
        return f"headers of {headers}, contents of {contents}, {self.decoded:,} decoded"

    def warnings(self) -> list[str]:
        """What is wrong, a sentence each, the worst first."""
        return [*self.faults(), *([] if self.item else self._about_classes()), *self.notes]

    def _about_copies(self) -> list[str]:
        leaks = [group for group in self.copies if group.across_parts]
        torn = [group for group in self.copies if group.across_classes]
        extra = sum(len(group.names) - 1 for group in self.copies)
        found = []
        if leaks:
            found.append(
                f"{_images(len(leaks))} in train and held out both, so the val metric will look better than "
                f"it is, such as {_examples(group.names for group in leaks)}."
            )
        if torn:
            found.append(
                f"{_images(len(torn))} in two classes with the same content, "
                f"such as {_examples(group.names for group in torn)}."
            )
        if extra:
            found.append(f"{extra:,} {'files are copies' if extra > 1 else 'file is a copy'} of another one.")
        return found

    def _about_bad(self) -> list[str]:
        if not self.bad:
            return []
        verb = "images cannot be read and are" if len(self.bad) > 1 else "image cannot be read and is"
        return [f"{len(self.bad):,} {verb} left out of training."]

    def _about_classes(self) -> list[str]:
        train, found = self.in_train, list[str]()
        if self.task == REGRESSION:
            return found
        few = [name for name, n in zip(self.classes, train, strict=True) if n < FEW]
        if self.balance >= UNEVEN:
            found.append(
                f"The classes are uneven, {self.balance:,.0f} to 1: accuracy alone will flatter the large ones."
            )
        if few:
            has = "classes have" if len(few) > 1 else "class has"
            found.append(f"{len(few):,} {has} fewer than {FEW} training images: {_listed(few)}.")
        unseen = [name for name, n in zip(self.classes, self.counts[VAL], strict=True) if not n]
        if unseen:
            found.append(f"Nothing to validate {_listed(unseen)} on.")
        return found

    def record(self) -> dict[str, Any]:
        """The same for `--json`; file names as `os.fsdecode` gives them."""
        return {
            "root": os.fsdecode(self.root),
            "images": self.images,
            "parts": dict(zip(PARTS, self.in_part, strict=True)),
            "classes": [
                {"name": name, **dict(zip(PARTS, numbers, strict=True))}
                for name, *numbers in zip(self.classes, *self.counts, strict=True)
            ],
            "balance": round(self.balance, 3),
            "width": _spread_record(self.sizes.widths) if self.sizes else None,
            "height": _spread_record(self.sizes.heights) if self.sizes else None,
            "colours": dict(self.colours),
            "looked_at": {"headers": self.looked_at, "contents": self.compared, "decoded": self.decoded},
            "bad": [{"path": os.fsdecode(name), "reason": reason} for name, reason in self.bad],
            "copies": [
                {
                    "paths": [os.fsdecode(name) for name in group.names],
                    "across_parts": group.across_parts,
                    "across_classes": group.across_classes,
                }
                for group in self.copies
            ],
            "warnings": self.warnings(),
        }


def sizes_of(pixels: npt.NDArray[np.int32]) -> Sizes | None:
    """Of (N, 2) widths and heights."""
    if not len(pixels):
        return None
    low, middle, high = pixels.min(0), np.median(pixels, 0).astype(int), pixels.max(0)
    widths, heights = ((int(low[i]), int(middle[i]), int(high[i])) for i in (0, 1))
    return Sizes(widths=widths, heights=heights)


def _spread_record(spread: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("min", "median", "max"), spread, strict=True))


def _percent(share: float) -> str:
    return f"{share:.0%}" if 0.01 <= share <= 0.99 else "under 1%" if share < 0.5 else "over 99%"


def _of(some: int, total: int) -> str:
    return f"all {total:,}" if some == total else f"{some:,} of {total:,}"


def _images(count: int) -> str:
    return f"{count:,} images are" if count > 1 else "1 image is"


def _examples(groups: Iterable[tuple[bytes, ...]]) -> str:
    first = next(iter(groups))
    return " = ".join(display(name, 60) for name in first[:NAMED])


def _listed(names: list[str]) -> str:
    shown = ", ".join(display(name, 40) for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED:,} more" if len(names) > NAMED else shown
