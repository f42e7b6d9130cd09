from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tui_trainer.data import upload
from tui_trainer.data.buffers import Pool
from tui_trainer.data.upload import AHEAD, SideStream


class Copied:
    """An event of a GPU that is done when it is told, or waited for."""

    def __init__(self) -> None:
        self.done, self.waited = False, False

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        self.done = self.waited = True


class Gpu:
    """What `SideStream` needs of torch.cuda: both streams note what happens in them."""

    def __init__(self) -> None:
        self.events: list[Copied] = []
        self.told: list[Any] = []

    def Stream(self, device: torch.device) -> "Gpu":
        return self

    def stream(self, which: object) -> Any:
        return nullcontext()

    def record_event(self) -> Copied:
        self.events.append(Copied())
        return self.events[-1]

    def current_stream(self, device: torch.device) -> "Gpu":
        return self

    def wait_event(self, event: Copied) -> None:
        self.told.append(event)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    made = Gpu()
    monkeypatch.setattr(Tensor, "record_stream", lambda self, stream: made.told.append(tuple(self.shape)))
    return made


def test_memory_that_is_still_copied_is_not_written_again(gpu: Gpu) -> None:
    pool, send = Pool(6, np.dtype(np.uint8)), SideStream(torch.device("meta"), gpu)
    memory, targets = pool.take(), torch.zeros(2)
    where = memory.data_ptr()
    inputs, _ = send(memory.view(2, 3), targets)
    assert (inputs.device.type, gpu.told) == ("meta", [gpu.events[0], (2, 3), (2,)])
    del memory
    assert pool.take().data_ptr() != where, "its copy is under way"
    gpu.events[0].done = True
    send(torch.zeros(1), targets)
    assert pool.take().data_ptr() == where


def test_the_training_is_only_some_batches_ahead(gpu: Gpu) -> None:
    send = SideStream(torch.device("meta"), gpu)
    for _ in range(AHEAD + 2):
        send(torch.zeros(1), torch.zeros(1))
    assert [event.waited for event in gpu.events] == [True] * 2 + [False] * AHEAD


def test_other_devices_have_the_batch_when_they_are_asked() -> None:
    inputs, targets = torch.zeros(2, 3), torch.ones(2)
    here = upload.upload_to(torch.device("cpu"))(inputs, targets)
    assert here[0] is inputs
    assert here[1] is targets
    there = upload.upload_to(torch.device("meta"))(inputs, targets)
    assert [each.device.type for each in there] == ["meta", "meta"]
