"""A run as one plain object, from its events alone."""

from __future__ import annotations

from dataclasses import replace

from tui_trainer.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    Paused,
    Progress,
    Resumed,
    RunEnded,
    RunStarted,
    SettingChanged,
    Warned,
)
from tui_trainer.run_state import RunState, not_repeated


def started(epoch: int = 0, step: int = 0) -> RunStarted:
    return RunStarted(
        model="lenet", parameters=10, device="cpu", classes=("a", "b"), train_samples=8, val_samples=2,
        steps_per_epoch=4, epochs=2, epoch=epoch, step=step,
    )  # fmt: skip


def progress(step: int, part: str = "train", wait: float = 0.0) -> Progress:
    metrics = {f"{part}_loss": 1.0 / (step + 1), f"{part}_top1": 0.5}
    return Progress(
        part=part, epoch=(step - 1) // 4, step=step, batch=(step - 1) % 4 + 1, batches=4, samples=2, lr=0.1,
        metrics=metrics, seconds=step * 0.5, images_per_second=10.0, eta_seconds=9.0, data_wait=wait,
    )  # fmt: skip


def evaluated(epoch: int, *, best: bool = False) -> Evaluated:
    metrics = {"train_loss": 0.5, "train_top1": 0.7, "val_loss": 0.6, "val_top1": 0.65}
    return Evaluated(epoch=epoch, step=4 * (epoch + 1), lr=0.1, metrics=metrics, best=best, seconds=3.0)


def ended(outcome: str = "finished") -> RunEnded:
    return RunEnded(outcome=outcome, message="In words.", epochs=2, step=8, seconds=6.0)


def after(*events: Event) -> RunState:
    state = RunState()
    for event in events:
        state.add(event)
    return state


def test_the_phase_follows_the_events() -> None:
    assert after().phase == "starting"
    assert after(started()).phase == "warming up"
    assert after(started(), progress(1)).phase == "training"
    assert after(started(), progress(1), Paused(step=1)).phase == "paused"
    assert after(started(), progress(1), Paused(step=1), Resumed(step=1)).phase == "training"
    assert after(started(), progress(4), progress(4, "val")).phase == "validating"
    assert after(started(), progress(4), evaluated(0)).phase == "saving"
    assert after(started(), ended("stopped")).phase == "stopped"


def test_progress_counts_the_run_in_epochs() -> None:
    state = after(started(), progress(6))
    assert (state.epoch, state.batch, state.epoch_done) == (1, 2, 0.5)
    assert state.run_done == (1 + 0.5) / 2
    assert after(started(), progress(8), progress(8, "val")).run_done == 1.0
    assert after(started(), ended()).run_done == 1.0


def test_the_best_epoch_is_the_last_that_said_so() -> None:
    state = after(started(), evaluated(0, best=True), evaluated(1))
    assert state.best is not None
    assert state.best.epoch == 0
    assert len(state.history) == 2


def test_a_resumed_run_forgets_the_epochs_that_come_again() -> None:
    state = after(started(), evaluated(0, best=True), evaluated(1, best=True), started(epoch=1, step=6))
    assert [past.epoch for past in state.history] == [0]
    assert state.best is not None
    assert state.best.epoch == 0


def test_what_is_said_is_in_the_log() -> None:
    state = after(
        started(),
        CheckpointSaved(epoch=1, step=4, file="step-4.pt"),
        SettingChanged(step=4, name="epochs", value="5", reason="set while running"),
        Warned(topic="data", message="x.png is left out: damaged."),
    )
    texts = [line.text for line in state.log]
    assert "checkpoint step-4.pt saved" in texts
    assert "epochs = 5 (set while running)" in texts
    assert [line.level for line in state.log][-1] == "warning"
    assert (state.warnings, state.epochs) == (1, 5)


def test_each_file_that_is_left_out_counts_once() -> None:
    """A run that is resumed tells of it again."""
    one, other = (Warned(topic="data", message=f"{name}.png is left out: damaged.") for name in "xy")
    gone = replace(one, message="x.png is left out: No such file or directory.")
    elsewhere = Warned(topic="branch", message="z.png is left out: damaged.")
    told = Warned(topic="data", message="2 images cannot be read and are left out of training.")
    state = after(told, started(), one, other, elsewhere, ended("stopped"), told, started(epoch=1, step=4), gone, other)
    assert state.left_out == {"x.png", "y.png"}


def test_waiting_for_data_is_of_training_only() -> None:
    state = after(started(), progress(4, "val", wait=1.0))
    assert state.data_wait == 0.0
    assert after(started(), progress(1, wait=1.0)).data_wait > 0.0


def test_points_that_were_trained_again_come_once() -> None:
    events = [started(), *(progress(n) for n in range(1, 8)), evaluated(1), started(epoch=1, step=5), progress(6)]
    steps = [event.step for event in not_repeated(events) if isinstance(event, Progress)]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert not any(isinstance(event, Evaluated) for event in not_repeated(events))


def test_what_nobody_knows_is_not_made_up() -> None:
    unknown = replace(progress(3), batches=0, eta_seconds=0.0)
    state = after(replace(started(), steps_per_epoch=0), unknown)
    assert (state.batches_in_words, state.left_in_words, state.epoch_done) == ("3/?", "time left: after an epoch", 0.0)
    state.add(progress(5))
    assert (state.batches_in_words, state.left_in_words) == ("1/4", "9 s left")
