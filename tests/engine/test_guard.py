"""Losses that are not finite."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tui_trainer.engine.guard import MOST_IN_A_ROW, Guard
from tui_trainer.engine.loop import train
from tui_trainer.errors import TrainingError
from tui_trainer.events import Evaluated, Event, Progress, Warned

MakeJob = Callable[..., Any]


def spoiled(job: Any, steps: set[int]) -> Any:
    """The job, with a loss that is not a number at these steps (from 1)."""
    loss_func, calls = job.loss_func, [0]

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        calls[0] += job.model.training
        value: torch.Tensor = loss_func(outputs, targets)
        return value * float("nan") if job.model.training and calls[0] in steps else value

    job.loss_func = loss
    return job


def warned(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


def test_a_step_whose_loss_is_not_a_number_changes_nothing_and_is_told(make_job: MakeJob) -> None:
    job = spoiled(make_job(epochs=2), {3, 8})
    events, before = [], {}
    for event in train(job):
        if isinstance(event, Progress) and event.part == "train":
            weights = torch.cat([p.detach().flatten().clone() for p in job.model.parameters()])
            before[event.step] = weights
        events.append(event)
    assert torch.equal(before[2], before[3])
    assert torch.equal(before[7], before[8])
    assert not torch.equal(before[3], before[4])
    told = warned(events)
    assert len(told) == 2
    assert told[0].startswith("The loss was not a finite number in 1 step until step 3: left out, 1 so far.")
    assert job.state.left_out == (0, 0) or job.guard.read() == (2, 0)
    metrics = [event.metrics for event in events if isinstance(event, Evaluated)]
    assert all(torch.tensor(list(m.values())).isfinite().all() for m in metrics), "it is in no mean"
    assert [m.step for m in events if isinstance(m, Progress) and m.part == "train"] == list(range(1, 13))


def test_ten_in_a_row_end_the_run_and_leave_the_checkpoint_before(make_job: MakeJob, tmp_path: Any) -> None:
    job = spoiled(make_job(epochs=5, checkpoints=tmp_path), set(range(8, 30)))
    with pytest.raises(
        TrainingError, match=r"in 10 steps in a row, the last at step 17: training diverged\. Try a"
    ) as e:
        list(train(job))
    assert "smaller --lr than 0.1. The last checkpoint is of step 12." in str(e.value)


def test_nine_in_a_row_do_not(make_job: MakeJob) -> None:
    job = spoiled(make_job(epochs=3), set(range(8, 8 + MOST_IN_A_ROW - 1)))
    assert vars(list(train(job))[-1])["outcome"] == "finished"
    assert job.guard.read() == (9, 0)


def test_the_counts_go_on_after_a_resume(make_job: MakeJob) -> None:
    first = spoiled(make_job(epochs=3), set(range(3, 13)))
    for event in train(first):
        if isinstance(event, Progress) and event.step == 7:
            break
    second = spoiled(make_job(epochs=3), set(range(1, 9)))
    second.load_dict(first.to_dict())
    with pytest.raises(TrainingError, match="in 10 steps in a row, the last at step 12"):
        list(train(second))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_on_a_device_the_optimizer_leaves_the_step_out_by_itself(optimizer: Any) -> None:
    """The path of an accelerator, which never looks at the loss, against the one that does."""
    torch.manual_seed(0)
    batch = torch.randn(8, 3)
    ends = []
    for looks in (True, False):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        made = optimizer(model.parameters(), lr=0.1, fused=True)
        guard = Guard(model, made)
        guard.looks = looks
        for step in range(6):
            guard.begin()
            made.zero_grad()
            loss = model(batch * (float("nan") if step in (2, 3) else 1)).square().mean()
            loss.backward()
            assert guard.step(loss.detach(), made.step) == (step not in (2, 3) or not looks)
            assert guard.read() == {2: (1, 1), 3: (2, 2), 4: (2, 0), 5: (2, 0)}.get(step, (0, 0))
        ends.append(copy.deepcopy(model.state_dict()))
    for name, tensor in ends[0].items():
        if name != "1.num_batches_tracked":
            assert torch.allclose(tensor, ends[1][name]), name
            assert tensor.isfinite().all(), name
