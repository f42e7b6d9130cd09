"""Looking at a dataset: a generator of reports that grow, until it ends or is closed. No torch here.

Three rounds, each bounded and spread evenly over the samples: headers (sizes, colours, files that
are none), contents (copies), a full decode of a few. What Pillow cannot make out is decided by the
decoder that training uses, so that a file is bad here exactly if training leaves it out.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
import warnings
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from tui_trainer.data import table_report
from tui_trainer.data.index import TRAIN, Index, Rows
from tui_trainer.data.report import MODES, Copies, Report, sizes_of
from tui_trainer.data.table_report import TableReport
from tui_trainer.data.target_bars import bars_of, targets_in_words

PACE = 0.1  # seconds between two reports
CHUNK = 1 << 20
TOO_LARGE = "more than 100 megapixels"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is looked at; the defaults take 10 s with photos, 1 s with small images."""

    headers: int = 20_000
    compared: int = 200_000  # files whose size is compared
    hashed_bytes: int = 2 << 30
    decoded: int = 5_000
    decoded_pixels: int = 500_000_000


EVERYTHING = Limits(
    headers=sys.maxsize,
    compared=sys.maxsize,
    hashed_bytes=sys.maxsize,
    decoded=sys.maxsize,
    decoded_pixels=sys.maxsize,
)


class _Seen:
    """What has been seen so far."""

    def __init__(self, index: Index, limits: Limits) -> None:
        self.index = index
        self.bars, self.counts = bars_of(index)
        self.pixels = np.zeros((min(len(index), limits.headers), 2), np.int32)  # width, height
        self.measured = self.looked_at = self.compared = self.decoded = 0
        self.copies: list[Copies] = []
        self.bad: dict[int, str] = {}  # sample -> reason
        self.colours: Counter[str] = Counter()

    def report(self, stage: str) -> Report:
        index = self.index
        return Report(
            root=index.root,
            classes=self.bars,
            task=index.task,
            target=targets_in_words(index),
            counts=self.counts,
            images=len(index),
            looked_at=self.looked_at,
            compared=self.compared,
            decoded=self.decoded,
            sizes=sizes_of(self.pixels[: self.measured]),
            colours=tuple(self.colours.most_common()),
            bad=tuple((index.name(i), reason) for i, reason in sorted(self.bad.items())),
            copies=tuple(self.copies),
            notes=index.warnings,
            stage=stage,
        )


def examine(
    index: Index, limits: Limits | None = None, pace: float = PACE
) -> Generator[Report | TableReport, None, None]:
    """Reports at least `pace` seconds apart, the last one whole; closing the generator stops the work."""
    if isinstance(index.inputs, Rows):
        yield table_report.report_of(index)
        return
    if index.inputs is not None:
        yield _of_pictures(_Seen(index, limits or Limits()), index)
        return
    warnings.filterwarnings("ignore", module="PIL")  # of sizes and damaged EXIF; sizes are looked at here
    limits = limits or Limits()
    seen = _Seen(index, limits)
    yield seen.report("headers")
    last = time.monotonic()
    for stage, work in (
        ("headers", _headers(seen, limits)),
        ("contents", _contents(seen, limits)),
        ("decoded", _decodes(seen, limits)),
    ):
        for _ in work:
            if time.monotonic() - last >= pace:
                yield seen.report(stage)
                last = time.monotonic()
    yield seen.report("")


def _of_pictures(seen: _Seen, index: Index) -> Report:
    """Of images that are no files, and can all be read."""
    seen.looked_at = seen.compared = seen.decoded = len(index)
    if index.pictures is not None and index.pictures.size is not None:
        seen.pixels = np.array([index.pictures.size], np.int32)
        seen.measured = 1
    return seen.report("")


def _headers(seen: _Seen, limits: Limits) -> Iterator[None]:
    for i in _spread(len(seen.index), limits.headers):
        found = _header(seen.index.path(i))
        if isinstance(found, str):
            seen.bad[i] = found
        else:
            width, height, colour = found
            seen.pixels[seen.measured] = width, height
            seen.measured += 1
            seen.colours[colour] += 1
        seen.looked_at += 1
        yield


def _header(path: bytes) -> tuple[int, int, str] | str:
    """Width, height and colours of an image, or why it is none."""
    from PIL import Image

    from tui_trainer.data import decode

    try:
        with _regular(path) as descriptor, Image.open(descriptor) as image:
            (width, height), mode = image.size, image.mode
    except Image.DecompressionBombError:
        return TOO_LARGE
    except Exception:  # format plugins of Pillow raise anything for hostile bytes; the decoder decides
        try:
            height, width = decode.read_image(path, 3).shape[:2]
        except decode.BadImageError as error:
            return str(error)
        return width, height, "other"
    return TOO_LARGE if width * height > decode.MEGAPIXELS * 1e6 else (width, height, MODES.get(mode, mode))


def _regular(path: bytes) -> BinaryIO:
    """The open file; a pipe is never waited for and is refused."""
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("not a regular file")
    return file


def _contents(seen: _Seen, limits: Limits) -> Iterator[None]:
    """Files of one length are hashed, the shortest first; the others cannot be copies."""
    members = _spread(len(seen.index), limits.compared)
    lengths = np.zeros(len(members), np.int64)
    for k, i in enumerate(members):
        with suppress(OSError):
            status = os.stat(seen.index.path(i))
            lengths[k] = status.st_size if stat.S_ISREG(status.st_mode) else 0
        yield
    budget = limits.hashed_bytes
    for length, group in _of_one_length(lengths):
        if len(group) > 1 and length:
            budget -= length * len(group)
            if budget < 0:
                return
            yield from _compare(seen, [members[k] for k in group])
        else:
            seen.compared += len(group)


def _of_one_length(lengths: npt.NDArray[np.int64]) -> Iterator[tuple[int, list[int]]]:
    """Each length and the places where it stands, rising."""
    order = np.argsort(lengths, kind="stable")
    _, starts = np.unique(lengths[order], return_index=True)
    for group in np.split(order, starts[1:]):
        yield int(lengths[group[0]]), group.tolist()


def _compare(seen: _Seen, samples: list[int]) -> Iterator[None]:
    same: dict[bytes, list[int]] = {}
    for i in samples:
        if digest := _digest(seen.index.path(i)):
            same.setdefault(digest, []).append(i)
        seen.compared += 1
        yield
    seen.copies += [_copies(seen.index, group) for group in same.values() if len(group) > 1]


def _digest(path: bytes) -> bytes:
    """Of the content; empty if it cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with _regular(path) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError:
        return b""
    return digest.digest()


def _copies(index: Index, group: list[int]) -> Copies:
    held_out = index.parts[group] != TRAIN
    return Copies(
        names=tuple(index.name(i) for i in group),
        across_parts=bool(held_out.any() and not held_out.all()),
        across_classes=len(np.unique(index.targets[group], axis=0)) > 1,
    )


def _decodes(seen: _Seen, limits: Limits) -> Iterator[None]:
    from tui_trainer.data import decode

    budget = limits.decoded_pixels
    for i in _spread(len(seen.index), limits.decoded):
        if i in seen.bad:
            continue
        try:
            budget -= decode.read_image(seen.index.path(i), 3).size // 3
        except decode.BadImageError as error:
            seen.bad[i] = str(error)
        seen.decoded += 1
        yield
        if budget <= 0:
            return


def _spread(total: int, most: int) -> list[int]:
    """At most `most` of the samples, evenly spread."""
    if total <= most:
        return list(range(total))
    spread: list[int] = np.linspace(0, total - 1, most).astype(np.int64).tolist()
    return spread
