"""Each batch shared out among ranks."""

import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.test_batches import read
from tui_trainer.config import build
from tui_trainer.data import cache
from tui_trainer.data.batches import Data, build_batches, scan, spec_of
from tui_trainer.data.datasets import EpochOrder
from tui_trainer.data.shares import RankBatches

Batches = list[list[tuple[int, int]]]


def shared(samples: int, size: int, ranks: int, least: int = 1, start: int = 0) -> list[Batches]:
    """The batches of each rank."""
    found = []
    for rank in range(ranks):
        order = EpochOrder(torch.arange(samples), shuffle=True, seed=3, length=samples)
        order.start = start * size
        part = RankBatches(order, batch_size=size, drop_last=False, rank=rank, ranks=ranks, least=least)
        found.append(list(part))
    return found


@pytest.mark.parametrize("ranks", [2, 3, 8])
@pytest.mark.parametrize("samples", [97, 100, 5])  # a prime, a whole number of batches, fewer than ranks
def test_each_sample_is_in_one_part_of_the_batch_that_one_process_has(samples: int, ranks: int) -> None:
    alone = shared(samples, 10, 1)[0]
    parts = shared(samples, 10, ranks)
    assert all(len(part) == len(alone) for part in parts)
    for number, batch in enumerate(alone):
        assert sorted(address for part in parts for address in part[number]) == sorted(batch)


def test_no_rank_has_fewer_samples_than_the_model_needs() -> None:
    parts = shared(23, 10, 4, least=2)
    assert [[len(batch) for batch in part] for part in parts] == [[3, 3, 3], [3, 3, 0], [2, 2, 0], [2, 2, 0]]


def test_another_number_of_ranks_goes_on_after_any_batch() -> None:
    whole = shared(97, 10, 1)[0]
    later = shared(97, 10, 3, start=4)
    assert [sorted(itertools.chain(*batches)) for batches in zip(*later, strict=True)] == [sorted(b) for b in whole[4:]]


def made(folder: Path, rank: int, ranks: int, **values: Any) -> Data:
    config = build({"data": str(folder), "image_size": 16, "channels": 1, "batch_size": 9, **values})
    index = scan(config)
    spec = spec_of(config.data, index)
    return build_batches(config, index, spec, needs_two=False, context=None, rank=rank, ranks=ranks)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loaders_of_all_ranks_together_give_what_one_gives(digits60: Path, workers: int) -> None:
    wanted = made(digits60, 0, 1, augment="standard", num_workers=workers)
    ranks = [made(digits60, rank, 2, augment="standard", num_workers=workers) for rank in range(2)]
    for part in ("train", "val"):
        one, several = getattr(wanted, part), [getattr(data, part) for data in ranks]
        assert {(other.samples, other.batches, other.batch_size) for other in several} == {
            (one.samples, one.batches, one.batch_size)
        }
        batches = zip(read(one, 1, 1), *(read(other, 1, 1) for other in several), strict=True)
        for (number, _, images), *others in batches:
            together = torch.empty_like(images)
            for rank, (its_number, _, its_images) in enumerate(others):
                assert its_number == number
                together[rank::2] = its_images
            assert torch.equal(together, images)


def test_the_processes_of_a_machine_share_the_memory_for_decoded_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "available_memory", lambda: 8_000_000)
    assert cache._limit(build({"nproc": 4}), cache.MEMORY, sys.maxsize) == 500_000
    assert cache._limit(build({}), cache.MEMORY, sys.maxsize) == 2_000_000
