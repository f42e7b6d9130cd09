"""Sums over batches, kept on the device; reading them is a sync point.

Means are over samples, not over batches, so that a short last batch does not count double.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tui_trainer.engine.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from tui_trainer.engine.metrics import Measure

TOGETHER, MOST_WAITING = 32, 1 << 24  # batches that are counted together, and bytes of outputs that wait for it


def floats(device: torch.device) -> torch.dtype:
    """The type of sums: counts beyond 2^24 are exact where the device has float64."""
    return torch.float64 if device.type != "mps" else torch.float32


class Sums:
    """Sums over samples of loss and of what a task measures, kept on the device; read, they are those of all ranks.

    Batches wait until some are there or somebody reads, and are then counted together, which costs a tenth; they are
    added one after another, so that the last bit of a sum does not depend on when that was. `finite_only`: batches
    whose loss is not finite are left out. `within`: sums that count the same batches, and have been counting longer.
    """

    def __init__(
        self,
        measure: Measure,
        device: torch.device,
        ranks: Ranks | None = None,
        *,
        finite_only: bool = False,
        within: Sums | None = None,
    ) -> None:
        self.measure, self.ranks = measure, ranks or ALONE
        self._finite_only, self._within = finite_only, within
        self._device, size = device, measure.size + 2
        # On the CPU numbers of Python: torch's small operations take ten times as long as their additions.
        self._sums: list[float] | Tensor = (
            [0.0] * size if device.type == "cpu" else torch.zeros(size, dtype=floats(device), device=device)
        )
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._most = 1
        self._first: Callable[[], None] = lambda: None  # what else counts into these
        if within is not None:
            within._first = self._count

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Count a batch: `loss` its mean ()."""
        if not self._waiting:
            self._most = max(1, min(TOGETHER, MOST_WAITING // (outputs.nbytes + targets.nbytes + 1)))
        self._waiting.append((loss, outputs, targets))
        if len(self._waiting) >= self._most:
            self._count()

    def _count(self) -> None:
        waiting, self._waiting = self._waiting, []
        both = [self._sums] if self._within is None else [self._sums, self._within._sums]
        add = _add_here if self._device.type == "cpu" else _add_there
        for _, group in groupby(waiting, key=lambda one: one[1].shape):
            losses, outputs, targets = zip(*group, strict=True)
            add(both, losses, self.measure.terms(outputs, targets), targets[0].shape[0], self._finite_only)

    def _settle(self) -> None:
        self._first()
        if self._waiting:
            self._count()

    @property
    def here(self) -> Tensor:
        """The sums of this rank alone."""
        self._settle()
        if isinstance(self._sums, Tensor):
            return self._sums
        return torch.tensor(self._sums, dtype=floats(self._device))

    def read(self) -> tuple[float, ...]:
        """Sum of losses, the sums of the task, samples; a sync point."""
        self._settle()
        if self.ranks.size == 1 and isinstance(self._sums, list):
            return tuple(self._sums)
        return tuple(self.ranks.total(self.here).tolist())

    def reset(self, values: Sequence[float] = ()) -> None:
        """Start again, or at the sums of a checkpoint."""
        self._settle()
        own = self.ranks.own(values) or [0.0] * len(self._sums)
        if isinstance(self._sums, Tensor):
            self._sums.copy_(torch.tensor(own, dtype=self._sums.dtype))
        else:
            self._sums[:] = map(float, own)

    @property
    def count(self) -> int:
        """Samples counted; a sync point."""
        return int(self.read()[-1])

    def means(self, part: str, read: Sequence[float] = ()) -> dict[str, float]:
        """Loss and rates as `part_name`; empty if no sample was counted. A sync point, unless `read` before."""
        loss, *terms, count = read or self.read()
        if not count:
            return {}
        rates = self.measure.rates(terms, int(count))
        return {f"{part}_loss": loss / count} | {f"{part}_{name}": value for name, value in rates.items()}


def _add_here(both: Sequence[Any], losses: Sequence[Tensor], terms: Tensor, count: int, finite_only: bool) -> None:
    """Add batches of `count` samples to sums on the CPU, column by column; `sum` would round in another way."""
    told = zip(torch.stack(losses).tolist(), terms.tolist(), strict=True)  # type: ignore[arg-type]
    rows = [(loss * count, *term, count) for loss, term in told if math.isfinite(loss) or not finite_only]
    columns = list(enumerate(zip(*rows, strict=True)))
    for sums in both:
        for number, column in columns:
            sums[number] = reduce(operator.add, column, sums[number])


@torch.no_grad()
def _add_there(both: Sequence[Any], losses: Sequence[Tensor], terms: Tensor, count: int, finite_only: bool) -> None:
    """The same on a device, which is not waited for."""
    loss = torch.stack(list(losses)).detach().to(both[0])
    ends = loss * count, torch.full_like(loss, count)
    rows = torch.cat([ends[0][:, None], terms.to(both[0]), ends[1][:, None]], 1)
    rows = rows.where(loss.isfinite()[:, None], 0.0) if finite_only else rows
    for sums in both:
        for row in rows.unbind():
            sums.add_(row)


def read_together(one: Sums, two: Sums) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What `read` gives of both, in one sync point."""
    if one.ranks.size == 1 and isinstance(one._sums, list):
        return one.read(), two.read()
    values = one.ranks.total(torch.cat([one.here, two.here])).tolist()
    return tuple(values[: len(one.here)]), tuple(values[len(one.here) :])
