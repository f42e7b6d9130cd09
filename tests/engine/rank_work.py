"""What the processes of test_together do: several ranks that share one tiny job."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from tui_trainer.commands import Command
from tui_trainer.engine.job import Job
from tui_trainer.engine.loop import train
from tui_trainer.engine.ranks import Alone
from tui_trainer.engine.together import Together
from tui_trainer.events import Event

from ..conftest import MemoryBatch, MemoryLoader, make_job


class Part(MemoryLoader):
    """A rank's part of each batch; `samples` and `batches` are those of all."""

    rank, ranks = 0, 1
    seen: list[tuple[int, int, int]]  # epoch, batch, sample

    def epoch(self, number: int, start: int = 0) -> Iterator[MemoryBatch]:
        for batch in super().epoch(number, start):
            own = slice(self.rank, None, self.ranks)
            for inputs in batch.inputs[own].tolist():
                self.seen.append((number, batch.number, self.number_of[tuple(inputs)]))
            yield MemoryBatch(batch.inputs[own], batch.targets[own], batch.number, self.warn.get(batch.number, ()))


def part(old: MemoryLoader, ranks: Any) -> Part:
    """The part of this rank."""
    made = Part(old.images, old.targets, old.batch_size, old.shuffle)
    made.rank, made.ranks, made.seen = ranks.rank, ranks.size, []
    made.number_of = {tuple(row): i for i, row in enumerate(old.images.tolist())}  # type: ignore[attr-defined]
    return made


def network() -> nn.Module:
    """4 numbers to 3 classes, the same each time, without anything random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def rank_job(ranks: Any, model: nn.Module | None = None, **changes: Any) -> Job:
    """22 training samples in batches of 4, the last of 2, and 7 to validate on."""
    model = model or network()
    job = make_job(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    loaders = {"train_loader": part(job.train_loader, ranks), "val_loader": part(job.val_loader, ranks)}
    fields = {name: getattr(job, name) for name in ("optimizer", "loss_func", "prepare", "classes", "device", "lr")}
    made: Job = make_job(model=model, **{**fields, **loaders, "ranks": ranks, **changes})
    return made


class Inbox:
    """Commands that come at certain looks, on this rank."""

    def __init__(self, looks: dict[int, Sequence[Command]] | None = None) -> None:
        self._looks, self._count, self.waited = looks or {}, 0, 0
        self.coming: list[Command] = []  # with the next look

    def take(self) -> list[Command]:
        self._count += 1
        came, self.coming = self.coming, []
        return [*self._looks.get(self._count, ()), *came]

    def wait(self, seconds: float) -> None:
        import time

        time.sleep(seconds)
        self.waited += 1


def run(job: Job, inbox: Inbox | None = None) -> list[Event]:
    return list(train(job, inbox))


def work(rank: int, folder: Path, size: int, scenarios: Sequence[Callable[[Any], Any]]) -> None:
    """Be rank `rank` of `size`, and leave what each scenario gave in a file."""
    torch.set_num_threads(1)
    os.environ["RANKS_FOLDER"] = str(folder)
    results: dict[str, Any] = {}
    try:
        store = dist.FileStore(str(folder / f"store-{size}"), size)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
        for scenario in scenarios:
            results[scenario.__name__] = scenario(Together())
        dist.barrier()
        dist.destroy_process_group()
    except BaseException:
        results["error"] = traceback.format_exc()
    torch.save(results, folder / f"rank-{size}-{rank}.pt")


def alone(scenario: Callable[[Any], Any]) -> Any:
    """What it gives in one process."""
    return scenario(Alone())
