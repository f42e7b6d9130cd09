"""How many CPU threads compute a small network: two where that pays and nobody else needs the processors, or one."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.config import Config
from tui_trainer.idle import Moment, allowed, free_since

DEFAULT_THREADS = torch.get_num_threads()  # before anything here has set it
ENOUGH = 1.8  # processors that are free, of two
WORTH = 3_000_000  # multiplications of a convolution for a batch; with fewer two threads are hardly faster, or slower
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def threads_of_large() -> tuple[int, str]:
    """Torch's number, and why: it counts the host's processors, and threads beyond a quota only wait for their turn."""
    most = allowed()
    if most >= DEFAULT_THREADS or "OMP_NUM_THREADS" in os.environ:
        return DEFAULT_THREADS, "torch's choice"
    return max(1, int(most)), f"this container may use {most:g} of {DEFAULT_THREADS} processors"


def threads_of_small(
    config: Config, model: nn.Module, shape: Sequence[int], device: torch.device, since: Moment | None
) -> tuple[int, str]:
    """The number of threads for inputs of `shape`, and why.

    `since`: when the run began to be prepared; None: nobody knows, or several processes train. With two threads LeNet
    trains 1.2 to 1.3 times as fast as with one on an idle machine, and 2 to 3.5 times slower beside one busy program
    (measured on two processors). It is looked at once: a number that changed would change results.
    """
    alone = since is not None and config.run.nproc == 1 and device.type == "cpu"
    if since is None or not alone or config.recipe.deterministic or DEFAULT_THREADS < 2:
        return 1, "a small network"
    if config.loader.batch_size * multiplications(model, shape) < WORTH:
        return 1, "a small network with short steps"
    most = allowed()
    if most < 2:
        return 1, "a small network, and less than two processors may be used"
    free, workers = free_since(since), config.loader.num_workers
    if free is None:
        return 1, "a small network"
    if min(free, most) >= ENOUGH + workers:
        return 2, "a small network, and the machine is idle"
    if free >= ENOUGH:
        return 1, "a small network, and workers need the processors too"
    return 1, "a small network, and other programs are at work"


def multiplications(model: nn.Module, shape: Sequence[int]) -> float:
    """Of a convolution for one input of `shape`, on average; 0 where there is none.

    They are counted on a copy, in evaluation, so that nothing is drawn or learned.
    """
    found = list[int]()

    def count(module: Any, _: object, outputs: object) -> None:
        if isinstance(outputs, Tensor):
            found.append(outputs.numel() * module.weight[0].numel())

    torch.set_num_threads(1)  # beside other programs two would take a hundred times as long
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            twin = copy.deepcopy(model).eval()
            for layer in (module for module in twin.modules() if isinstance(module, CONVOLUTIONS)):
                layer.register_forward_hook(count)
            twin(torch.zeros(1, *shape))
        except Exception:  # whatever the user's own code may raise
            return 0.0
    return sum(found) / max(1, len(found))
