from __future__ import annotations

import pytest
import torch

from tui_trainer.weights import statistics
from tui_trainer.weights.limits import ReadingCancelledError
from tui_trainer.weights.reader import list_weights


def looked_at(tmp_path, tensor):
    torch.save({"t.weight": tensor, "u": torch.ones(2)}, tmp_path / "w.pth")
    return statistics.statistics_of(list_weights(tmp_path / "w.pth"), "t.weight")


def test_the_numbers_of_a_tensor(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "_AT_ONCE", 7)
    numbers = torch.randn(11, 5)
    numbers[0, :2] = 0
    found = looked_at(tmp_path, numbers)
    assert (found.numbers, found.zeros, found.nan, found.infinite) == (55, 2, 0, 0)
    assert found.least == float(numbers.min())
    assert found.greatest == float(numbers.max())
    assert found.mean == pytest.approx(float(numbers.mean()), abs=1e-6)
    assert found.deviation == pytest.approx(float(numbers.std(correction=0)), abs=1e-6)
    assert sum(found.histogram) == 55


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_every_kind_of_number(tmp_path, dtype):
    found = looked_at(tmp_path, torch.ones(3, dtype=dtype))
    assert (found.least, found.greatest, found.deviation, sum(found.histogram)) == (1, 1, 0, 3)


def test_what_is_not_finite_is_counted(tmp_path):
    found = looked_at(tmp_path, torch.tensor([float("nan"), float("inf"), -1.0, 0.0]))
    assert (found.nan, found.infinite, found.zeros, found.least, found.greatest) == (1, 1, 1, -1, 0)
    assert looked_at(tmp_path, torch.full((2,), float("nan"))).histogram == ()
    assert looked_at(tmp_path, torch.empty(0)).numbers == 0


def test_it_can_be_cancelled_and_is_not_begun_for_what_is_too_large(tmp_path, monkeypatch):
    torch.save({"t.weight": torch.ones(9)}, tmp_path / "w.pth")
    file = list_weights(tmp_path / "w.pth")
    with pytest.raises(ReadingCancelledError):
        statistics.statistics_of(file, "t.weight", lambda: True)
    monkeypatch.setattr(statistics, "MOST", 8)
    assert statistics.statistics_of(file, "t.weight") is None
