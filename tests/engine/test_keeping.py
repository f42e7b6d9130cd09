"""When checkpoints are saved, and what happens when they cannot be."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer.commands import Checkpoint
from tui_trainer.engine import checkpoint
from tui_trainer.engine.keeping import Keeping
from tui_trainer.engine.loop import train
from tui_trainer.errors import TrainingError
from tui_trainer.events import CheckpointSaved, Event, Warned
from tui_trainer.every import Every

from ..conftest import Script

MakeJob = Callable[..., Any]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def saved(events: list[Event]) -> list[int]:
    return [event.step for event in events if isinstance(event, CheckpointSaved)]


def warned(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


def on_disk(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.json"))


@pytest.mark.parametrize(
    ("every", "steps"),
    [(Every(1), [6, 12, 18]), (Every(2), [12, 18]), (Every(4, steps=True), [4, 8, 12, 16, 18]), (Every(9), [18])],
)
def test_checkpoints_come_as_often_as_asked_and_at_the_end(
    tmp_path: Path, make_job: MakeJob, every: Every, steps: list[int]
) -> None:
    job = make_job(checkpoints=tmp_path, keeping=Keeping(keep=9, every=every))
    assert saved(list(train(job))) == steps
    assert on_disk(tmp_path) == steps


def test_some_are_kept_for_good(tmp_path: Path, make_job: MakeJob) -> None:
    job = make_job(checkpoints=tmp_path, keeping=Keeping(keep=1, every=Every(9), keep_every=Every(5, steps=True)))
    assert saved(list(train(job))) == [5, 10, 15, 18]
    assert on_disk(tmp_path) == [5, 10, 15, 18]


def test_saving_takes_one_percent_of_the_time_at_most(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save takes 1 s and an epoch 24 s: the first is saved, and then each ninth."""
    clock, save = Clock(), checkpoint.save

    def slow(*given: Any, **named: Any) -> str:
        clock.now += 1
        return save(*given, **named)

    monkeypatch.setattr(checkpoint, "save", slow)
    job = make_job(epochs=12, checkpoints=tmp_path, keeping=Keeping(every=None, clock=clock))
    steps = []
    for event in train(job):
        clock.now += 24 * (event.kind == "evaluated")
        steps += saved([event])
    assert steps == [6, 60, 72], "epochs 1, 10, and the end"


def test_in_a_long_epoch_there_are_checkpoints_too(tmp_path: Path, make_job: MakeJob) -> None:
    clock = Clock()
    job = make_job(epochs=1, checkpoints=tmp_path, keeping=Keeping(every=None, clock=clock))
    steps = []
    for event in train(job):
        clock.now += 301 * (event.kind == "progress")
        steps += saved([event])
    assert steps == [2, 4, 6], "every ten minutes, and the end of the epoch"


def full(monkeypatch: pytest.MonkeyPatch, is_full: Callable[[], bool]) -> None:
    save = checkpoint.save

    def maybe(folder: Path, *given: Any, **named: Any) -> str:
        if is_full():
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))
        return save(folder, *given, **named)

    monkeypatch.setattr(checkpoint, "save", maybe)


def test_a_full_disk_is_told_and_saving_is_tried_again_while_training_goes_on(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, reference = Clock(), make_job(epochs=40)
    list(train(reference))
    full(monkeypatch, lambda: 2 < clock.now < 25)
    torch.manual_seed(3)
    job = make_job(epochs=40, checkpoints=tmp_path, keeping=Keeping(clock=clock))
    events = []
    for event in train(job):
        clock.now += event.kind == "evaluated"
        events.append(event)
    told = warned(events)
    assert [text.partition("; ")[0].rpartition("step ")[2] for text in told] == ["12", "12"]
    assert "Cannot write" in told[0]
    assert "No space left on device. The last checkpoint is of step 12; training goes on" in told[0]
    assert saved(events)[:3] == [6, 12, 6 * 33], "tried after 10 s, and after 20 more"
    assert saved(events)[-1] == 240
    for one, other in zip(job.model.parameters(), reference.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_save_that_is_asked_for_is_tried_at_once_and_the_best_weights_wait_for_it(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_full = [True]
    full(monkeypatch, lambda: is_full[0])
    write, best = checkpoint.save_weights, []
    monkeypatch.setattr(checkpoint, "save_weights", lambda path, *rest: best.append(path.stem) or write(path, *rest))
    job = make_job(epochs=2, checkpoints=tmp_path, keeping=Keeping(every=Every(9)))
    events = []
    for event in train(job, Script(at9=[Checkpoint()], at11=[Checkpoint()])):
        if event.kind == "warned":
            is_full[0] = False
        events.append(event)
    assert len(warned(events)) == 1
    assert saved(events) == [9, 12]
    assert best[0] == "best"


def test_a_run_whose_end_cannot_be_saved_has_failed(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, lambda: job.state.step > 6)
    job = make_job(epochs=2, checkpoints=tmp_path)
    with pytest.raises(TrainingError, match=r"Cannot write .*The last checkpoint is of step 6; --resume goes on once"):
        list(train(job))
    assert on_disk(tmp_path) == [6]


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, make_job: MakeJob) -> None:
    job = make_job(epochs=2, checkpoints=tmp_path)

    def spoil_the_weights() -> None:
        for event in train(job, Script(at10=[Checkpoint()])):
            if event.kind == "progress" and vars(event)["step"] == 8:
                with torch.no_grad():
                    next(job.model.parameters())[0] = float("nan")

    with pytest.raises(TrainingError, match="The weights are not finite numbers any more at step 8"):
        spoil_the_weights()
    assert on_disk(tmp_path) == [6]
