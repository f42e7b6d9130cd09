"""What the numbers of one tensor of a file look like; reads that tensor alone."""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.weights.contents import WeightFile
from tui_trainer.weights.limits import Cancelled, never, stop_if
from tui_trainer.weights.reader import read_state_dict

BINS = 16
MOST = 1 << 28  # numbers: 1 GB of float32
_AT_ONCE = 1 << 22  # numbers between two questions whether to go on


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of the finite numbers: least, greatest, mean, deviation, counts in `BINS` equal steps from least to greatest."""

    numbers: int
    least: float = 0.0
    greatest: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    zeros: int = 0
    nan: int = 0
    infinite: int = 0
    histogram: tuple[int, ...] = ()


def statistics_of(file: WeightFile, name: str, cancelled: Cancelled = never) -> Statistics | None:
    """Of the tensor `name`, of complex ones by magnitude; None where it is too large to look at.

    Raises:
        WeightsError: it cannot be read, or reading was cancelled.
    """
    import torch

    numbers = next((tensor.numel for tensor in file.tensors if tensor.name == name), 0)
    if numbers > MOST:
        return None
    tensor = read_state_dict(file, [name], cancelled)[name]
    flat = (tensor.abs() if tensor.is_complex() else tensor).reshape(-1)
    zeros = nan = infinite = 0
    least, greatest, total, squares, finite = float("inf"), float("-inf"), 0.0, 0.0, 0
    for part in flat.split(_AT_ONCE):
        stop_if(cancelled)
        wide = part.double()
        good = wide[torch.isfinite(wide)]
        nan += int(torch.isnan(wide).sum())
        infinite += int(torch.isinf(wide).sum())
        zeros += int((wide == 0).sum())
        if len(good):
            least, greatest = min(least, float(good.min())), max(greatest, float(good.max()))
            total, squares, finite = total + float(good.sum()), squares + float((good * good).sum()), finite + len(good)
    if not finite:
        return Statistics(numbers=numbers, nan=nan, infinite=infinite)
    counts = torch.zeros(BINS, dtype=torch.float64)
    for part in flat.split(_AT_ONCE):
        stop_if(cancelled)
        wide = part.double()
        counts += torch.histc(wide[torch.isfinite(wide)], BINS, least, greatest if greatest > least else least + 1)
    mean = total / finite
    return Statistics(
        numbers=numbers,
        least=least,
        greatest=greatest,
        mean=mean,
        deviation=max(0.0, squares / finite - mean * mean) ** 0.5,
        zeros=zeros,
        nan=nan,
        infinite=infinite,
        histogram=tuple(int(count) for count in counts),
    )
