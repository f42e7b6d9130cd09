"""What is tried with a network that is shared out among ranks; in one process it is whole, to compare with."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.tensor import DTensor

from tui_trainer.commands import Stop
from tui_trainer.config import build, resolve
from tui_trainer.engine import keeping
from tui_trainer.engine.frozen import Frozen
from tui_trainer.engine.job import Job
from tui_trainer.engine.precision import Precision
from tui_trainer.engine.sharding import Sharded, shard
from tui_trainer.events import Evaluated, Event, Progress, Warned
from tui_trainer.run import prepare

from .rank_scenarios import WithUnused, losses, spoil
from .rank_work import Inbox, network, rank_job, run


def sharded_job(ranks: Any, model: nn.Module | None = None, rule: str = "SGD", **changes: Any) -> Job:
    """Batches of 4 of which the last has 1, for the first rank alone, in training and in validation."""
    model, dtype = model or network(), changes.pop("dtype", None)
    if ranks.size > 1 and not changes.pop("ddp", False):
        shard(model, torch.device("cpu"), dtype)
        changes["sharded"] = Sharded(model, (4,))
    values: dict[str, Any] = {"lr": 0.05, "momentum": 0.9} if rule == "SGD" else {"lr": 0.01}
    optimizer = getattr(torch.optim, rule)(model.parameters(), **values)
    job = rank_job(ranks, model, optimizer=optimizer, **{"lr": values["lr"], **changes})
    for loader, samples in ((job.train_loader, 21), (job.val_loader, 5)):
        loader.images, loader.targets = loader.images[:samples], loader.targets[:samples]  # type: ignore[attr-defined]
        loader.samples, loader.batches = samples, -(-samples // 4)
    return job


def whole(model: nn.Module) -> Tensor:
    """All weights, on every rank."""
    return torch.cat(
        [(p.full_tensor() if isinstance(p, DTensor) else p).detach().flatten() for p in model.parameters()]
    )


def curve(ranks: Any, rule: str = "SGD", epochs: int = 8, **changes: Any) -> Any:
    job = sharded_job(ranks, rule=rule, epochs=epochs, **changes)
    events = run(job)
    evaluated = [event.metrics for event in events if isinstance(event, Evaluated)]
    return {"losses": losses(events), "weights": whole(job.model), "evaluated": evaluated}


def parted(ranks: Any) -> Any:
    """Numbers that this rank holds of weights, gradients and states of the optimizer, and of how many in all."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))
    job = sharded_job(ranks, model, rule="Adam", epochs=1)
    gradients: list[Tensor | None] = []
    before = job.precision.step
    job.precision.step = lambda optimizer: (  # type: ignore[method-assign, assignment]
        gradients.extend(p.grad for p in model.parameters()),
        before(optimizer),
    )
    run(job)
    states = [value for state in job.optimizer.state.values() for value in state.values() if value.ndim]
    held = [*model.parameters(), *(g for g in gradients if g is not None), *states]
    return sum(here(t).numel() for t in held), sum(t.numel() for t in held)


def here(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def every_rule(ranks: Any) -> Any:
    """The optimizers that do not look at a tensor as a whole."""
    rules = ("AdamW", "RMSprop", "Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam")
    return {rule: curve(ranks, rule, 2)["weights"] for rule in rules}


def accumulated_and_clipped(ranks: Any) -> Any:
    return curve(ranks, epochs=3, grad_accum_steps=4, clip_grad_norm=0.5)


def frozen_and_unused(ranks: Any) -> Any:
    torch.manual_seed(5)
    model = WithUnused()
    job = sharded_job(ranks, model, epochs=3)
    job.frozen = Frozen([model.used[0]], 1)  # type: ignore[index]
    run(job)
    return whole(model)


def not_finite(ranks: Any) -> Any:
    job = sharded_job(ranks, epochs=2)
    spoil(job, ranks)
    run(job)
    return {"left_out": job.guard.read(), "weights": whole(job.model)}


class Normalised(nn.Module):
    """Running statistics, which a made-up sample must not move; one of the layers computes in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.BatchNorm1d(8)
        self.first, self.norm, self.last = nn.Conv1d(1, 8, 2), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs[:, None])
        outputs: Tensor = self.last(self.norm(hidden).relu().mean(2))
        return outputs + self.auxiliary(hidden).mean(2)[:, :3] if self.training else outputs


def normalised(ranks: Any) -> Any:
    """Shared out or, to compare with, whole on each rank; the last of three batches has one sample."""
    found = {}
    for ddp in (False, True):
        for dtype in (None, torch.bfloat16):
            torch.manual_seed(1)
            job = sharded_job(ranks, Normalised(), epochs=3, dtype=dtype, ddp=ddp)
            job.precision = Precision(job.device, "bf16" if dtype else "")
            for loader in (job.train_loader, job.val_loader):
                loader.images, loader.targets = loader.images[:17], loader.targets[:17]
                loader.samples, loader.batches, loader.batch_size = len(loader.images), -(-len(loader.images) // 8), 8
            found[ddp, bool(dtype)] = losses(run(job)), job.model.norm.running_mean.clone()
    return found


def settings(name: str, **more: Any) -> Any:
    """A run over a few digits: 5 steps and a short one in each of 3 epochs."""
    folder = Path(os.environ["RANKS_FOLDER"])
    values = {"epochs": 3, "batch_size": 5, "lr": 0.01, "optimizer": "adamw", "num_workers": 0, "threads": 1}
    where = {"data": str(folder / "data"), "output_dir": str(folder / name), "augment": "light"}
    return build({**values, **where, "strategy": "fsdp", "log_every": 1, "checkpoint_every": "3steps", **more})


def on(ranks: Any, config: Any, stop_after: int = 0) -> Any:
    """A run; this rank hears of a stop after a step, so that it ends with that or the next."""
    made, inbox, events = prepare(config, ranks=ranks), Inbox(), list[Event]()
    for event in made.events(inbox):
        events.append(event)
        if isinstance(event, Progress) and event.part == "train" and event.step == stop_after:
            inbox.coming.append(Stop())
    steps = {
        e.step: (e.metrics["batch_loss"], e.samples) for e in events if isinstance(e, Progress) and e.part == "train"
    }
    warned = [event.message for event in events if isinstance(event, Warned)]
    evaluated = [event.metrics for event in events if isinstance(event, Evaluated)]
    return {"steps": steps, "weights": whole(made.job.model), "warned": warned, "evaluated": evaluated}


def resumed(ranks: Any, name: str, **more: Any) -> Any:
    folder = Path(os.environ["RANKS_FOLDER"]) / name
    return on(ranks, resolve({"resume": str(folder), **more}, folder / "config.toml").config)


def straight(ranks: Any) -> Any:
    return on(ranks, settings("straight"))


def stopped(ranks: Any) -> Any:
    """The last rank hears of a stop in the midst of the second epoch; copies of the run are to go on elsewhere."""
    found = on(ranks, settings("stopped"), 7 if ranks.rank == ranks.size - 1 else 0)
    on(ranks, settings("whole", strategy="ddp", channels_last=False), 7)
    folder = Path(os.environ["RANKS_FOLDER"])
    if ranks.rank == 0:
        for name in ("by-one", "by-three", "damaged"):
            shutil.copytree(folder / "stopped", folder / name)
    ranks.gathered(None)
    return found


def by_two(ranks: Any) -> Any:
    return resumed(ranks, "stopped")


def by_three(ranks: Any) -> Any:
    return resumed(ranks, "by-three")


def by_one(ranks: Any) -> Any:
    return resumed(ranks, "by-one", strategy="ddp")


def from_whole(ranks: Any) -> Any:
    return resumed(ranks, "whole", strategy="fsdp")


def full_disk(ranks: Any) -> Any:
    """The last rank cannot write its part of the first checkpoint."""
    original, calls = HuggingFaceStorageWriter.write_data, [0]

    def write_data(self: Any, *arguments: Any) -> Any:
        calls[0] += 1
        if ranks.rank == ranks.size - 1 and calls[0] == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, *arguments)

    HuggingFaceStorageWriter.write_data = write_data  # type: ignore[method-assign]
    left: list[list[Path]] = []
    warned, place = keeping.in_words, Path(os.environ["RANKS_FOLDER"]) / "full" / "checkpoints"

    def in_words(error: OSError) -> str:
        ranks.gathered(None)
        left.append(list(place.glob("*.shards*")))
        return warned(error)

    keeping.in_words = in_words
    try:
        return {**on(ranks, settings("full", epochs=1)), "left": left}
    finally:
        keeping.in_words = warned
        HuggingFaceStorageWriter.write_data = original  # type: ignore[method-assign]
