"""How the targets of a dataset are spread: a bar for each class, label, or range of numbers. No torch here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tui_trainer.data.index import CLASSIFICATION, PARTS, REGRESSION, Index

RANGES = 8  # bars of numbers
Bars = tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]  # their labels; for each part how many samples


def bars_of(index: Index) -> Bars:
    """Labels, and for each part the samples of each."""
    if index.task != REGRESSION:
        return index.classes, tuple(tuple(index.counts(part)) for part in range(len(PARTS)))
    values = index.targets[:, 0].astype(np.float64)
    edges = np.histogram_bin_edges(values, RANGES)
    labels = tuple(f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges))
    counts = [np.histogram(values[index.parts == part], edges)[0].tolist() for part in range(len(PARTS))]
    return labels, tuple(tuple(int(count) for count in row) for row in counts)


def ranges_of(values: Sequence[float]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Labels of ranges of numbers, and how many are in each."""
    counts, edges = np.histogram(np.array(values, np.float64), RANGES)
    return tuple(f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)), tuple(counts.tolist())


def targets_in_words(index: Index) -> str:
    """What is predicted, in a few words."""
    if not len(index):
        return f"{', '.join(index.target_names)} of a stream"
    if index.task == CLASSIFICATION:
        return f"one of {len(index.classes):,} classes"
    if index.task != REGRESSION:
        return f"any of {len(index.classes):,} labels, {index.targets.sum(1).mean():.1f} a sample"
    words = [
        f"{name} from {column.min():.4g} to {column.max():.4g}, mean {column.mean():.4g}"
        for name, column in zip(index.target_names, index.targets.T, strict=True)
    ]
    return "; ".join(words[:3]) + ("; ..." if len(words) > 3 else "")
