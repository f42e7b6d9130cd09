"""Batches to the device of the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

AHEAD = 4  # batches that may be on their way to a GPU before the training waits for the first of them

Upload = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def upload_to(device: torch.device) -> Upload:
    """What takes inputs and targets of a batch to `device`."""
    if device.type == "cuda":
        return SideStream(device)
    if device.type == "cpu":
        return lambda inputs, targets: (inputs, targets)
    return lambda inputs, targets: (inputs.to(device), targets.to(device))


class SideStream:
    """Copies to a GPU while it works: on a stream of their own, which the work waits for (torch: CUDA semantics).

    The training is ahead of the GPU, so that a batch is copied while the one before is trained on. The memory of the
    host is held until its copy is done: a loader would write the next batch into it, because nobody else refers to it.
    """

    def __init__(self, device: torch.device, cuda: Any = torch.cuda) -> None:
        self._device, self._cuda, self._stream = device, cuda, cuda.Stream(device)
        self._under_way: deque[tuple[Any, tuple[Tensor, Tensor]]] = deque()

    def __call__(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Start the copies; whatever the current stream does next comes after them."""
        self._let_go()
        with self._cuda.stream(self._stream):
            copies = (
                inputs.to(self._device, non_blocking=True),
                targets.to(self._device, non_blocking=True),
            )
            done = self._stream.record_event()
        work = self._cuda.current_stream(self._device)
        work.wait_event(done)
        for copy in copies:
            copy.record_stream(work)  # its memory belongs to the other stream, which could use it again
        self._under_way.append((done, (inputs, targets)))
        return copies

    def _let_go(self) -> None:
        """Forget batches whose copies are done; wait where too many are under way."""
        while self._under_way:
            done = self._under_way[0][0]
            if len(self._under_way) >= AHEAD:
                done.synchronize()
            elif not done.query():
                return
            self._under_way.popleft()
