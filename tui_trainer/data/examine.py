"""Looking at a dataset: a generator of reports that grow, until it ends or is closed. No torch here.

Three rounds, each bounded and spread evenly over the samples: headers (sizes, colours, files that
are none), contents (copies), a full decode of a few. Training's own code looks at the files, so that
one is bad here exactly if training leaves it out.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tui_trainer.data import table_report
from tui_trainer.data.copies import copies_among
from tui_trainer.data.index import PARTS, Index, Own, Rows, Stream
from tui_trainer.data.report import Copies, Report, sizes_of
from tui_trainer.data.table_report import TableReport
from tui_trainer.data.target_bars import bars_of, targets_in_words
from tui_trainer.data.together import together
from tui_trainer.text import display

if TYPE_CHECKING:
    from tui_trainer.data.header import Header

PACE = 0.1  # seconds between two reports
HEAD = 1 << 16  # bytes in which a header mostly lies
HEADERS_AT_ONCE, DECODES_AT_ONCE = 256, 8  # a task of a thread


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
        self.measured = self.looked_at = self.compared = self.decoded = self.undecodable = 0
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
            undecodable=self.undecodable,
            sizes=sizes_of(self.pixels[: self.measured]),
            colours=tuple(self.colours.most_common()),
            bad=tuple((index.name(i), reason) for i, reason in sorted(self.bad.items())),
            bad_in_part=parts_of(index, self.bad),
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
    if isinstance(index.inputs, Stream):
        yield table_report.report_of_stream(index)
        return
    if isinstance(index.inputs, Own) and index.inputs.streams:
        yield _of_own_stream(index)
        return
    if index.inputs is not None:
        yield _of_pictures(_Seen(index, limits or Limits()), index)
        return
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


def parts_of(index: Index, samples: Iterable[int]) -> tuple[int, int, int]:
    """How many of the samples are in each part."""
    train, val, test = np.bincount(index.parts[list(samples)], minlength=len(PARTS)).tolist()
    return train, val, test


def _of_own_stream(index: Index) -> Report:
    """Of what nobody knows how much there is."""
    names = display(", ".join(index.classes or index.target_names), 200)
    return Report(
        root=index.root, classes=(), counts=((),) * len(PARTS), images=0, task=index.task, target=names,
        item=index.task_reason, notes=index.warnings,
    )  # fmt: skip


def _of_pictures(seen: _Seen, index: Index) -> Report:
    """Of images that are no files, and can all be read."""
    seen.looked_at = seen.compared = seen.decoded = len(index)
    if index.pictures is not None and index.pictures.size is not None:
        seen.pixels = np.array([index.pictures.size], np.int32)
        seen.measured = 1
    return seen.report("")


def _headers(seen: _Seen, limits: Limits) -> Iterator[None]:
    index, members = seen.index, _spread(len(seen.index), limits.headers)
    for i, found in together(lambda i: _header(index.path(i), index.max_megapixels), members, HEADERS_AT_ONCE):
        if isinstance(found, str):
            seen.bad[i] = found
        else:
            seen.pixels[seen.measured] = found.width, found.height
            seen.measured += 1
            seen.colours[_colours(found)] += 1
        seen.looked_at += 1
        yield


def _header(path: bytes, max_megapixels: float) -> Header | str:
    """What a file says of itself, or why it is no image that is read."""
    from tui_trainer.data import decode

    try:
        try:
            found = decode.header(decode.read_file(path, HEAD))
        except decode.BadImageError:  # some have it at their end
            found = decode.header(decode.read_file(path))
        decode.require_size(found, max_megapixels)
    except decode.BadImageError as error:
        return str(error)
    return found


def _colours(header: Header) -> str:
    if header.bits == 1 and header.mode == "grey":
        return "black and white"
    name = {"cmyk": "CMYK", "lab": "CIELAB"}.get(header.mode, header.mode)
    alpha = " with alpha" * (header.alpha and header.mode in ("grey", "colour") and header.format != "bmp")
    return f"{header.bits}-bit {name}{alpha}" if header.bits > 8 else f"{name}{alpha}"


def _contents(seen: _Seen, limits: Limits) -> Iterator[None]:
    for found in copies_among(seen.index, _spread(len(seen.index), limits.compared), limits.hashed_bytes):
        if isinstance(found, Copies):
            seen.copies.append(found)
        else:
            seen.compared += found
        yield


def _decodes(seen: _Seen, limits: Limits) -> Iterator[None]:
    members = [i for i in _spread(len(seen.index), limits.decoded) if i not in seen.bad]
    budget, index = limits.decoded_pixels, seen.index
    for i, found in together(lambda i: _decoded(index.path(i), index.max_megapixels), members, DECODES_AT_ONCE):
        if isinstance(found, str):
            seen.bad[i] = found
            seen.undecodable += 1
        else:
            budget -= found
        seen.decoded += 1
        yield
        if budget <= 0:
            return


def _decoded(path: bytes, max_megapixels: float) -> int | str:
    """The pixels of an image, or why it cannot be decoded."""
    from tui_trainer.data import decode

    try:
        return decode.read_image(path, 3, max_megapixels).size // 3
    except decode.BadImageError as error:
        return str(error)


def _spread(total: int, most: int) -> list[int]:
    """At most `most` of the samples, evenly spread."""
    if total <= most:
        return list(range(total))
    spread: list[int] = np.linspace(0, total - 1, most).astype(np.int64).tolist()
    return spread
