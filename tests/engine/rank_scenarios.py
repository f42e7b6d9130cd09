"""What is tried on several ranks. Each function is called on every rank, and in one process to compare with."""

from __future__ import annotations

import errno
import math
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DistributedSampler

from tui_trainer.commands import Pause, Resume, Set, Stop
from tui_trainer.config import build
from tui_trainer.engine.exchange import Exchange
from tui_trainer.engine.frozen import Frozen
from tui_trainer.engine.job import Job
from tui_trainer.engine.keeping import Keeping
from tui_trainer.engine.ranks import Clock
from tui_trainer.engine.shared_gradients import SharedGradients
from tui_trainer.engine.together import Together
from tui_trainer.events import CheckpointSaved, Evaluated, Event, Progress, RunEnded, SettingChanged, Warned
from tui_trainer.run import prepare

from ..conftest import MemoryBatch
from .rank_work import Inbox, network, rank_job, run

EPOCHS, LONG = 8, 43  # of 6 steps: 48 and 258


def losses(events: list[Event]) -> list[float]:
    return [e.metrics["batch_loss"] for e in events if isinstance(e, Progress) and e.part == "train"]


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def long_curve(ranks: Any) -> Any:
    return curve(ranks, LONG)


def curve(ranks: Any, epochs: int = EPOCHS) -> Any:
    """Steps of 4 samples, and one of 2 in each epoch, in which a third rank has none."""
    job = rank_job(ranks, epochs=epochs)
    events = run(job)
    evaluated = [event.metrics for event in events if isinstance(event, Evaluated)]
    counts = [
        [event.samples for event in events if isinstance(event, Progress) and event.part == part][-1]
        for part in ("train", "val")
    ]
    return {"losses": losses(events), "weights": weights(job.model), "evaluated": evaluated, "counts": counts}


class MeanOfMeans(Together):
    """The usual recipe, as a control: each rank's mean counts the same, however many samples it has."""

    def begin(self, samples: int, waited: float, clock: Clock) -> bool:
        begun = super().begin(samples, waited, clock)
        self._shared.begin(self._usual / self.size)  # type: ignore[arg-type] # as if each had as many as the others
        return begun

    def weigh(self, loss: Tensor, samples: int, batches: int) -> Tensor:
        return self._shared.weigh(loss, self._usual / self.size, self._usual)  # type: ignore[arg-type]


def mean_of_means(ranks: Any) -> Any:
    job = rank_job(MeanOfMeans() if ranks.size > 1 else ranks, epochs=4)
    return {"losses": losses(run(job)), "weights": weights(job.model)}


def distributed_sampler(ranks: Any) -> Any:
    """The usual validation, as a control: samples are repeated until each rank has as many as the others."""
    job = rank_job(ranks, epochs=1)
    loader = job.val_loader
    sampler = DistributedSampler(range(loader.samples), ranks.size, ranks.rank, shuffle=False)  # type: ignore[arg-type]
    own = torch.tensor(list(sampler))
    loader.images, loader.targets, loader.rank, loader.ranks = loader.images[own], loader.targets[own], 0, 1  # type: ignore[attr-defined]
    loader.samples, loader.batches = len(own), -(-len(own) // loader.batch_size)
    return [event.samples for event in run(job) if isinstance(event, Progress) and event.part == "val"][-1]


def accumulated(ranks: Any) -> Any:
    job = rank_job(ranks, epochs=3, grad_accum_steps=4, clip_grad_norm=0.5)
    run(job)
    return weights(job.model)


def spoil(job: Job, ranks: Any) -> None:
    """The first sample of the last rank's part of the second batch is no number."""
    original = job.prepare

    def prepare(batch: Any) -> tuple[Tensor, Tensor]:
        inputs, targets = original(batch)
        if ranks.rank == ranks.size - 1 and batch.number == 2 and job.state.epoch == 0 and not job.evaluating:
            inputs = inputs.clone()
            inputs[0, 0] = math.nan
        return inputs, targets

    job.prepare = prepare


def not_finite_on_one_rank(ranks: Any) -> Any:
    job = rank_job(ranks, epochs=2)
    spoil(job, ranks)
    events = run(job)
    return {
        "left_out": job.guard.read(),
        "weights": weights(job.model),
        "warned": sum(isinstance(e, Warned) for e in events),
    }


def real_run(ranks: Any) -> Any:
    """Images from the disk, one of which is none, by way of the composition root."""
    folder = Path(os.environ["RANKS_FOLDER"])
    where = str(folder / f"run-{ranks.size}")
    threads = {"num_workers": 2, "threads": 1, "cache": "off"}
    values = {"epochs": 2, "batch_size": 9, "lr": 0.01, "augment": "light", "output_dir": where, **threads}
    made = prepare(build({"data": str(folder / "data"), **values}), ranks=ranks)
    events = list(made.events(Inbox()))
    evaluated = [event.metrics for event in events if isinstance(event, Evaluated)]
    warned = sorted(event.message for event in events if isinstance(event, Warned))
    recorded = [event.kind for event in made.folder.read_events()]
    return {"evaluated": evaluated, "warned": warned, "weights": weights(made.job.model), "recorded": recorded}


def unreadable(ranks: Any) -> Any:
    """No file of the second batch can be read on any rank, and one of the third."""
    job = rank_job(ranks, epochs=2)
    original = job.train_loader.epoch

    def epoch(number: int, start: int = 0) -> Any:
        for batch in original(number, start):
            kept = {2: 0, 3: 1 if ranks.rank == 0 else 0}.get(batch.number, 9)
            yield MemoryBatch(batch.inputs[:kept], batch.targets[:kept], batch.number, ())

    job.train_loader.epoch = epoch  # type: ignore[method-assign]
    events = run(job)
    samples = [event.samples for event in events if isinstance(event, Progress) and event.part == "train"]
    return {"weights": weights(job.model), "steps": job.state.step, "samples": samples, "losses": losses(events)}


class WithUnused(nn.Module):
    """A layer that never takes part, and one that may be frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = network(), nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.used(inputs)
        return outputs


def unused_and_frozen(ranks: Any) -> Any:
    torch.manual_seed(5)
    model = WithUnused()
    job = rank_job(ranks, model, epochs=3, frozen=Frozen([model.used[0]], 1))  # type: ignore[index]
    run(job)
    return weights(model)


def commands_of_any_rank(ranks: Any) -> Any:
    """The last rank asks for another rate, then all get a stop at different times."""
    looks = {3: [Set(name="lr", value=0.05)]} if ranks.rank == ranks.size - 1 else {}
    looks = {**looks, 8 + 3 * ranks.rank: [Stop()]}  # type: ignore[dict-item]
    job = rank_job(ranks, epochs=1000)
    events = run(job, Inbox(looks))
    ended, changed = events[-1], [event.step for event in events if isinstance(event, SettingChanged)]
    assert isinstance(ended, RunEnded)
    return {
        "outcome": ended.outcome,
        "step": ended.step,
        "changed": changed,
        "lr": job.lr,
        "weights": weights(job.model),
    }


def long_pause(ranks: Any) -> Any:
    """A pause that is longer than a collective waits."""
    if ranks.size > 1:
        ranks = Together(timedelta(seconds=2))
    pauses = {2: [Pause()], 52: [Resume()], 55: [Stop()]} if ranks.rank == 0 else {}
    began = time.monotonic()
    job = rank_job(ranks, epochs=1000)
    ended = run(job, Inbox(pauses))[-1]  # type: ignore[arg-type]
    assert isinstance(ended, RunEnded)
    return {"outcome": ended.outcome, "step": ended.step, "seconds": time.monotonic() - began}


def saved_once(ranks: Any) -> Any:
    """As on a GPU, of which the clock is read each 8th step: a checkpoint is due after step 12, and its disk is full.

    Every try of rank 0 and every checkpoint that it told, by step.
    """
    job = rank_job(ranks, epochs=1)
    keeping = Keeping(every=None, clock=lambda: (690.0 + job.state.step) * (job.state.step >= 12))
    job = rank_job(ranks, epochs=1, keeping=keeping)
    job.train_loader.images = job.train_loader.images.repeat(10, 1)  # type: ignore[attr-defined]
    job.train_loader.targets = job.train_loader.targets.repeat(10)  # type: ignore[attr-defined]
    job.train_loader.samples, job.train_loader.batches = 220, 55
    tries: list[int] = []

    def write(*_: Any) -> str:
        tries.append(job.state.step)
        if len(tries) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        keeping.last, keeping._ended, keeping._next, keeping._failures = job.position, 715.0 + len(tries), 0.0, 0
        return "some"

    def space(self: Exchange, passed: int) -> None:
        self._turns, self._long, self._every = 0, False, 8

    if ranks.rank == 0:
        job.checkpoints = Path(os.environ["RANKS_FOLDER"])
        keeping.write = write  # type: ignore[method-assign, assignment]
        job.save_weights = lambda name: None  # type: ignore[method-assign]
    before = SharedGradients.here, Exchange._space
    SharedGradients.here, Exchange._space = property(lambda _: False), space  # type: ignore[method-assign, assignment]
    try:
        events = run(job)
    finally:
        SharedGradients.here, Exchange._space = before  # type: ignore[method-assign, assignment]
    return tries, [event.step for event in events if isinstance(event, CheckpointSaved)]


def warnings_of_others(ranks: Any) -> Any:
    """What another rank tells comes to the first."""
    job = rank_job(ranks, epochs=1)
    inner = job.ranks.commands(Inbox())
    ranks.tell(Warned(topic="data", message=f"of rank {ranks.rank}"))
    inner.take()
    return [event.message for event in ranks.heard() if isinstance(event, Warned)]
