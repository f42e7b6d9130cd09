"""In which order an epoch takes the rows of a stream: a function of (seed, epoch), for any number of ranks and workers.

The blocks are shuffled and dealt to lanes of nearly the same length. A lane is read from its begin to its end, window
by window, and the rows of a window are shuffled; the epoch takes a row of each lane in turn. Lane `l` belongs to rank
`l mod ranks`, which reads no other: the rows of a batch are the same for any number of ranks, and so is its number.
Letters: K blocks, L lanes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LANES = 24  # divided by 1, 2, 3, 4, 6, 8, 12 ranks


@dataclass(frozen=True)
class Window:
    """Blocks of a lane that are read together; `slots` places in the epoch."""

    blocks: tuple[int, ...]
    slots: int


Lane = list[Window]


def deal(
    counts: npt.NDArray[np.int64],
    files: npt.NDArray[np.int64],
    window: int,
    lanes: int = LANES,
    *,
    generator: np.random.Generator | None = None,
    whole_files: bool = False,
) -> list[Lane]:
    """The lanes of an epoch over blocks of `counts` (K,) rows, shuffled if there is a generator.

    `whole_files`: a file can only be read from its begin on, and stays together in its order.
    """
    runs = _runs(counts, files, whole_files)
    order = range(len(runs)) if generator is None else generator.permutation(len(runs)).tolist()
    dealt: list[list[int]] = [[] for _ in range(lanes)]
    shortest = [(0, lane) for lane in range(lanes)]
    for number in order:
        length, lane = heapq.heappop(shortest)
        dealt[lane] += runs[number]
        heapq.heappush(shortest, (length + int(counts[runs[number]].sum()), lane))
    return [_windows(blocks, counts, window) for blocks in dealt]


def _runs(counts: npt.NDArray[np.int64], files: npt.NDArray[np.int64], whole_files: bool) -> list[list[int]]:
    """Blocks with rows, those that stay together as one."""
    runs: list[list[int]] = []
    for block in np.flatnonzero(counts).tolist():
        if whole_files and runs and files[runs[-1][-1]] == files[block]:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


def _windows(blocks: Sequence[int], counts: npt.NDArray[np.int64], window: int) -> Lane:
    made: Lane = []
    held: list[int] = []
    slots = 0
    for block in blocks:
        held.append(block)
        slots += int(counts[block])
        if slots >= window:
            made.append(Window(tuple(held), slots))
            held, slots = [], 0
    return [*made, Window(tuple(held), slots)] if held else made


def turns(sizes: Sequence[int], start: int = 0) -> Iterator[int]:
    """The lane whose turn it is, place after place from `start` on: each lane in turn while it has rows."""
    begun = 0  # rounds that are over
    before = 0  # places in them
    for end in sorted(set(sizes) - {0}):
        live = [lane for lane, size in enumerate(sizes) if size >= end]
        places = len(live) * (end - begun)
        skipped = max(0, start - before)
        if skipped < places:
            rounds, within = divmod(skipped, len(live))
            for number in range(begun + rounds, end):
                yield from live[within:] if number == begun + rounds else live
        begun, before = end, before + places


def taken(sizes: Sequence[int], places: int) -> list[int]:
    """How many rows of each lane (L,) the first `places` of an epoch take."""
    counts = [0] * len(sizes)
    begun = 0
    for end in sorted(set(sizes) - {0}):
        live = [lane for lane, size in enumerate(sizes) if size >= end]
        rounds, within = divmod(min(places, len(live) * (end - begun)), len(live))
        for turn, lane in enumerate(live):
            counts[lane] += rounds + (turn < within)
        places -= rounds * len(live) + within
        begun = end
        if not places:
            break
    return counts
