"""Running sums that become metrics. Letters: N samples in a batch, C classes, L labels, K numbers to predict.

A `Measure` says which sums a task needs. They are kept on the device; reading them is a sync point.
Means are over samples, not over batches, so that a short last batch does not count double.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from tui_trainer.engine.ranks import ALONE, Ranks
from tui_trainer.engine.sums import Sums, floats

TOP_K = 5


class Whole(Protocol):
    """The metrics of a whole part, gathered batch by batch."""

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a batch."""

    def metrics(self, ranks: Ranks = ALONE) -> dict[str, float]:
        """Over all samples counted, on all ranks."""


class Measure(Protocol):
    """What a task measures. `size`: numbers that it sums besides loss and samples."""

    size: int

    def terms(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """What each of k batches of one shape adds to the sums (k, size)."""

    def rates(self, terms: Sequence[float], count: int) -> dict[str, float]:
        """What is told while a part is running, from its sums over `count` samples."""

    def whole(self, device: torch.device) -> Whole:
        """What is told of a whole validation part."""


def build_measure(task: str, classes: int, scale: Sequence[float]) -> Measure:
    """What a task measures, with so many classes or labels, or numbers of this `scale`."""
    if task == "classification":
        return Classification(classes)
    return Multilabel(classes) if task == "multilabel" else Regression(scale)


class Classification:
    """One of C classes: outputs (N, C), targets (N,), or (N, C) where samples are mixed."""

    size = 1

    def __init__(self, classes: int) -> None:
        self._classes = classes

    def terms(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Hits (k, 1)."""
        wanted = torch.stack(list(targets))
        wanted = wanted.argmax(2) if wanted.ndim == 3 else wanted
        return (torch.stack(list(outputs)).argmax(2) == wanted).sum(1, keepdim=True)

    def rates(self, terms: Sequence[float], count: int) -> dict[str, float]:
        """top1."""
        return {"top1": terms[0] / count}

    def whole(self, device: torch.device) -> Whole:
        """The confusion matrix."""
        return Confusion(self._classes, device)


class Confusion:
    """Counts of (true class, predicted class), with what top-5 needs; kept on the device."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._counts = torch.zeros(classes, classes, dtype=torch.int64, device=device)
        self._in_top_k = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a batch: `outputs` (N, C), `targets` (N,)."""
        classes = self._counts.shape[0]
        cells = targets * classes + outputs.argmax(1)
        self._counts += torch.bincount(cells, minlength=classes * classes).reshape(classes, classes)
        if classes > TOP_K:
            ranked = outputs.topk(TOP_K, dim=1).indices
            self._in_top_k += (ranked == targets[:, None]).any(1).sum()

    @property
    def counts(self) -> Tensor:
        """Of (true class, predicted class) (C, C) int64, on the CPU."""
        return self._counts.cpu()

    def metrics(self, ranks: Ranks = ALONE) -> dict[str, float]:
        """top1 and top5 over all samples, f1 averaged over the classes that occur (macro)."""
        self._counts, self._in_top_k = ranks.total(self._counts), ranks.total(self._in_top_k)
        counts = self._counts.double().cpu()
        hits, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
        total = counts.sum().item()
        top5 = {"top5": self._in_top_k.item() / total} if len(counts) > TOP_K else {}  # else it is always 1
        return {"top1": hits.sum().item() / total, **top5, "f1": macro_f1(hits, predicted, true)}


def never_predicted(whole: Whole | None, most: int = 20) -> tuple[int, ...]:
    """The first classes that occur and that no sample was taken for."""
    if not isinstance(whole, Confusion):
        return ()
    counts = whole.counts
    return tuple(((counts.sum(1) > 0) & (counts.sum(0) == 0)).nonzero()[:most, 0].tolist())


def macro_f1(hits: Tensor, predicted: Tensor, true: Tensor) -> float:
    """F1 averaged over the classes that occur, from counts (C,)."""
    present = (true + predicted) > 0
    return (2 * hits[present] / (true + predicted)[present]).mean().item() if present.any() else math.nan


class Regression:
    """K numbers: outputs (N, K), targets (N, K) in units of `scale`, the standard deviation of each in its own unit."""

    def __init__(self, scale: Sequence[float]) -> None:
        self._scale, self.size = tuple(scale), 4 * len(scale)

    def terms(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Absolute and squared errors, targets and their squares (k, 4 K); how many come together changes no bit."""
        return torch.stack([self._terms(*one) for one in zip(outputs, targets, strict=True)])

    def _terms(self, outputs: Tensor, targets: Tensor) -> Tensor:
        kept = floats(outputs.device)
        wanted = targets.reshape(outputs.shape).to(kept)
        error = outputs.to(kept) - wanted
        return torch.cat([error.abs().sum(0), (error * error).sum(0), wanted.sum(0), (wanted * wanted).sum(0)])

    def rates(self, terms: Sequence[float], count: int) -> dict[str, float]:
        """r2."""
        return {"r2": self.read(terms, count)["r2"]}

    def read(self, terms: Sequence[float], count: int) -> dict[str, float]:
        """Mae and rmse in the unit of the targets, and r2; each averaged over the K numbers."""
        numbers = len(self._scale)
        absolute, squared, total, squares = (terms[i * numbers : (i + 1) * numbers] for i in range(4))
        spread = [max(0.0, square - t * t / count) for t, square in zip(total, squares, strict=True)]
        r2 = [1 - e / s if s > 0 else math.nan for e, s in zip(squared, spread, strict=True)]
        mae = [scale * a / count for scale, a in zip(self._scale, absolute, strict=True)]
        rmse = [scale * math.sqrt(e / count) for scale, e in zip(self._scale, squared, strict=True)]
        return {"r2": sum(r2) / numbers, "mae": sum(mae) / numbers, "rmse": sum(rmse) / numbers}

    def whole(self, device: torch.device) -> Whole:
        """The same sums over a part."""
        return Errors(self, device)


class Errors:
    """The sums of a regression over a whole part."""

    def __init__(self, measure: Regression, device: torch.device) -> None:
        self._sums = Sums(measure, device)
        self._read = measure.read

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a batch."""
        self._sums.add(outputs.new_zeros(()), outputs, targets)

    def metrics(self, ranks: Ranks = ALONE) -> dict[str, float]:
        """mae, rmse and r2."""
        _, *terms, count = ranks.total(self._sums.here).tolist()
        return self._read(terms, int(count))


class Multilabel:
    """Any of L labels: outputs (N, L) before the sigmoid, targets (N, L) of 0 and 1."""

    def __init__(self, labels: int) -> None:
        self._labels, self.size = labels, 3 * labels

    def terms(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Hits, predictions and true labels of each (k, 3 L)."""
        said, true = torch.stack(list(outputs)) > 0, torch.stack(list(targets)) > 0.5
        return torch.cat([(said & true).sum(1), said.sum(1), true.sum(1)], 1)

    def rates(self, terms: Sequence[float], count: int) -> dict[str, float]:
        """f1, averaged over the labels that occur."""
        return {"f1": macro_f1(*torch.tensor(terms, dtype=torch.float64).reshape(3, self._labels))}

    def whole(self, device: torch.device) -> Whole:
        """Every score."""
        return Scores(self)


class Scores:
    """The scores of a whole part (4 bytes a sample and label), from which exact ranks are found."""

    def __init__(self, measure: Multilabel) -> None:
        self._measure = measure
        nothing = torch.empty(0, measure.size // 3)  # what a rank without samples has
        self._outputs: list[Tensor] = [nothing]
        self._targets: list[Tensor] = [nothing.bool()]

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Keep a batch."""
        self._outputs.append(outputs.float().cpu())
        self._targets.append(targets.cpu() > 0.5)

    def metrics(self, ranks: Ranks = ALONE) -> dict[str, float]:
        """f1 at one half, and map: average precision, averaged over the labels that occur."""
        outputs, targets = ranks.joined(torch.cat(self._outputs)), ranks.joined(torch.cat(self._targets))
        f1 = self._measure.rates(self._measure.terms([outputs], [targets])[0].tolist(), len(targets))
        found = [
            average_precision(outputs[:, i], targets[:, i]) for i in range(targets.shape[1]) if targets[:, i].any()
        ]
        return {**f1, "map": sum(found) / len(found) if found else math.nan}


def average_precision(scores: Tensor, true: Tensor) -> float:
    """Mean over the true samples of the precision at their score; equal scores count together. Both (N,)."""
    ranked, order = scores.sort(descending=True)
    hits = true[order].double().cumsum(0)
    last = torch.cat([ranked[1:] != ranked[:-1], torch.ones(1, dtype=torch.bool)])  # of each group of equal scores
    found, seen = hits[last], torch.arange(1, len(scores) + 1)[last]
    gained = torch.diff(found, prepend=torch.zeros(1, dtype=found.dtype))
    return ((found / seen) * gained).sum().item() / found[-1].item()
