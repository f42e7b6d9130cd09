"""What is kept whole is gathered and normalised ahead by a thread, where there is a processor for it."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer.config import Config
from tui_trainer.data import inline
from tui_trainer.data.batches import Data, build_batches, scan
from tui_trainer.data.datasets import Spec
from tui_trainer.data.transforms import Normalize

SIZE, BATCH = 16, 4
CPU = torch.device("cpu")


@pytest.fixture
def kept(digits60: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    """45 images in memory, three batches a block."""
    config = Config().replace(
        data=str(digits60), batch_size=BATCH, val_fraction=0.25, augment="none", normalize="none", cache="memory"
    )
    monkeypatch.setattr(inline, "TOGETHER", 3 * BATCH * SIZE * SIZE * 3)
    monkeypatch.setattr(inline, "usable_cpus", lambda: torch.get_num_threads() + 1)
    data = build_batches(
        config, scan(config), Spec(image_size=SIZE, channels=3, resize="squash"), needs_two=False, context=None
    )
    for loader in (data.train, data.val):
        list(loader.epoch(0))  # which fills the cache
    return data


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Whether it was in this thread that so many images were normalised."""
    found: list[tuple[bool, int]] = []
    here, normalise = threading.current_thread(), Normalize.__call__

    def told(self: Normalize, images: torch.Tensor) -> torch.Tensor:
        found.append((threading.current_thread() is here, len(images)))
        return normalise(self, images)

    monkeypatch.setattr(Normalize, "__call__", told)
    return found


def read(data: Data, ready: Any) -> list[torch.Tensor]:
    return [ready(batch)[0].clone() for batch in data.train.epoch(1)]


def test_a_thread_makes_blocks_ahead(kept: Data, made: list[tuple[bool, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    ready = kept.prepare(CPU, channels_last=True)
    ahead = read(kept, ready)
    assert made == [(False, 2 * BATCH), (False, 3 * BATCH), (False, 3 * BATCH), (False, 3 * BATCH), (True, 1)]
    made.clear()
    monkeypatch.setattr(inline, "usable_cpus", torch.get_num_threads)
    assert all(map(torch.equal, read(kept, ready), ahead))
    assert all(in_this_thread for in_this_thread, _ in made)


def test_what_was_made_for_another_is_made_anew(kept: Data, made: list[tuple[bool, int]]) -> None:
    planes, last = kept.prepare(CPU), kept.prepare(CPU, channels_last=True)
    assert all(batch.is_contiguous() for batch in read(kept, planes))
    assert (True, 3 * BATCH) in made
    made.clear()
    assert all(batch.is_contiguous(memory_format=torch.channels_last) for batch in read(kept, last))
    assert (True, 3 * BATCH) not in made


def test_an_epoch_that_is_left_early_is_no_harm_and_the_thread_ends(kept: Data) -> None:
    others = set(threading.enumerate())
    ready = kept.prepare(CPU)
    wanted = read(kept, ready)
    for _ in range(3):
        epoch = iter(kept.train.epoch(5))
        next(epoch)
        del epoch
        assert all(map(torch.equal, read(kept, ready), wanted))
    assert len(set(threading.enumerate()) - others) <= 1
    kept.close()
    assert not set(threading.enumerate()) - others
