"""A step of several batches is one of the whole; what a step keeps in mind survives a stop."""

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor

from tui_trainer.commands import Stop
from tui_trainer.data.loader import Batch as RankBatch
from tui_trainer.data.mixing import build_mix
from tui_trainer.engine import checkpoint
from tui_trainer.engine.ema import Ema
from tui_trainer.engine.job import Job
from tui_trainer.engine.loop import train
from tui_trainer.engine.precision import Precision
from tui_trainer.engine.schedule import Schedule
from tui_trainer.engine.step import train_step
from tui_trainer.events import Evaluated, Progress, RunStarted

from ..conftest import MemoryLoader, Script, make_job

CPU = torch.device("cpu")


def plain_job(batch_size: int, **changes: Any) -> Job:
    """No dropout: its masks would depend on how the samples are parted."""
    job: Job = make_job(**changes)
    job.model[1].p = 0.0
    loader: Any = job.train_loader
    job.train_loader = MemoryLoader(loader.images, loader.targets, batch_size, shuffle=True)
    return job


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_batches_of_a_step_are_one_batch(steps: int) -> None:
    """22 samples in batches of 4: the last step has fewer batches, and the last batch fewer samples."""
    schedule = Schedule(shape="cosine", warmup=0.5)
    one = plain_job(4, grad_accum_steps=steps, lr_schedule=schedule, clip_grad_norm=0.5)
    other = plain_job(4 * steps, lr_schedule=schedule, clip_grad_norm=0.5)
    told, wanted = list(train(one)), list(train(other))
    for mine, theirs in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    assert one.state.step == other.state.step

    def rates(events: list[Any]) -> list[float]:
        return [event.lr for event in events if isinstance(event, Progress) and event.part == "train"]

    assert rates(told) == rates(wanted)
    (first,) = [event for event in told if isinstance(event, RunStarted)]
    assert first.steps_per_epoch == other.train_loader.batches


FEATURES: dict[str, Any] = {
    "ema": lambda job: {"ema": Ema(job.model, 0.9)},
    "fp16": lambda job: {"precision": Precision(CPU, "fp16")},
    "bf16": lambda job: {"precision": Precision(CPU, "bf16")},
    "accumulation": lambda job: {"grad_accum_steps": 4},
    "plateau": lambda job: {"lr_schedule": Schedule(shape="plateau", patience=0), "min_delta": 9.0},
    "mixup": lambda job: {"mix": build_mix(mixup=0.5, cutmix=0.0, classes=3, seed=1)},
    "adamw": lambda job: {"optimizer": torch.optim.AdamW(job.model.parameters(), fused=True)},
}


def job_with(*features: str, **changes: Any) -> Job:
    job: Job = make_job(**changes)
    for feature in features:
        for name, value in FEATURES[feature](job).items():
            setattr(job, name, value)
    if "adamw" in features:
        job.guard = type(job.guard)(job.model, job.optimizer)
    return job


def tensors(job: Job) -> list[Tensor]:
    return [tensor.clone() for net in (job.model, job.kept) for tensor in net.state_dict().values()]


@pytest.mark.parametrize("features", [*[(name,) for name in FEATURES], tuple(FEATURES)], ids="+".join)
def test_a_run_that_was_stopped_goes_on_exactly(features: tuple[str, ...], tmp_path: Path) -> None:
    torch.manual_seed(3)
    whole = job_with(*features)
    wanted = [event.metrics for event in train(whole) if isinstance(event, Evaluated)]

    torch.manual_seed(3)
    cut = job_with(*features, checkpoints=tmp_path)
    look = 6 if "accumulation" in features else 11  # the first step of the second epoch, or its third
    before = [e.metrics for e in train(cut, Script(**{f"at{look}": [Stop()]})) if isinstance(e, Evaluated)]

    torch.manual_seed(999)
    job = job_with(*features)
    job.load_dict(checkpoint.load_newest(tmp_path, pytest.fail))
    assert job.state.batch
    after = [event.metrics for event in train(job) if isinstance(event, Evaluated)]
    assert before + after == wanted
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(tensors(job), tensors(whole), strict=True))


def test_without_its_state_a_feature_would_not_go_on_exactly(tmp_path: Path) -> None:
    """The test above can fail."""
    torch.manual_seed(3)
    whole = job_with("ema")
    list(train(whole))
    torch.manual_seed(3)
    list(train(job_with("ema", checkpoints=tmp_path), Script(at11=[Stop()])))
    job, saved = job_with("ema"), checkpoint.load_newest(tmp_path, pytest.fail)
    job.load_dict({**saved, "ema": {}})
    list(train(job))
    assert not all(torch.equal(mine, theirs) for mine, theirs in zip(tensors(job), tensors(whole), strict=True))


def test_the_average_is_what_is_evaluated_and_kept(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    job = job_with("ema", checkpoints=tmp_path)
    list(train(job))
    assert job.ema is not None
    kept = load_file(tmp_path / "final.safetensors")
    averaged = job.ema.model.state_dict()
    assert all(torch.equal(kept[name], averaged[name]) for name in averaged)
    assert not all(torch.equal(kept[name], tensor) for name, tensor in job.model.state_dict().items())


def test_the_gradient_is_clipped() -> None:
    job = plain_job(4, clip_grad_norm=1e-6, epochs=1, lr=1.0)
    before = [parameter.clone() for parameter in job.model.parameters()]
    list(train(job))
    moved = torch.stack([(a - b).norm() for a, b in zip(before, job.model.parameters(), strict=True)]).norm()
    assert 0 < moved < 6 * 10 * 1e-6, "six steps, with momentum at most ten times as long"


def test_a_batch_without_samples_is_passed_by_unprepared() -> None:
    """Where this rank's own stream has ended its targets have no columns, and fit no statistics."""
    job = plain_job(4)

    def refuse(batch: object) -> Any:
        raise AssertionError("prepared")

    job.prepare, job.ranks = refuse, MagicMock()
    job.ranks.finite.return_value = None
    assert train_step(job, [RankBatch(torch.empty(0), torch.empty(0), 1, ())]) is None
