import ast
import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tui_trainer.commands import Abort, Checkpoint, Evaluate, Pause, Resume, Set, Stop
from tui_trainer.engine import checkpoint, loop, step
from tui_trainer.engine.job import Job, NoCommands
from tui_trainer.engine.loop import evaluate, train
from tui_trainer.engine.schedule import Schedule
from tui_trainer.errors import TrainingError
from tui_trainer.events import (
    CheckpointSaved,
    Evaluated,
    EvaluatedNow,
    Event,
    Progress,
    RunEnded,
    RunStarted,
    SettingChanged,
)

from ..conftest import MemoryLoader, Script, kinds, make_job

STEPS = 6  # of an epoch


def of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def weights(job: Job) -> list[list[float]]:
    return [tensor.flatten().tolist() for tensor in job.model.state_dict().values()]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


# What a run says ------------------------------------------------------------------------------------------------------


def test_the_order_of_events(tmp_path: Path) -> None:
    events = list(train(make_job(epochs=2, log_every=4, checkpoints=tmp_path)))
    epoch = ["progress", "progress", "progress", "evaluated", "checkpoint_saved"]  # steps 4, 6 and the end of val
    second = ["progress", "progress", "progress", "evaluated", "checkpoint_saved"]  # steps 8, 12
    assert kinds(events) == ["run_started", *epoch, *second, "run_ended"]
    assert [(e.part, e.step, e.batch, e.samples) for e in of(Progress, events)] == [
        ("train", 4, 4, 16), ("train", 6, 6, 22), ("val", 6, 2, 7),
        ("train", 8, 2, 8), ("train", 12, 6, 22), ("val", 12, 2, 7),
    ]  # fmt: skip


def test_the_first_event_says_what_is_trained() -> None:
    first = next(iter(train(make_job())))
    assert first == RunStarted(
        time=first.time, model="tiny", parameters=4 * 8 + 8 + 8 * 3 + 3, device="cpu", classes=("a", "b", "c"),
        train_samples=22, val_samples=7, steps_per_epoch=STEPS, epochs=3,
    )  # fmt: skip


def test_the_last_event_says_how_it_ended() -> None:
    events = list(train(make_job()))
    last = events[-1]
    assert isinstance(last, RunEnded)
    assert (last.outcome, last.epochs, last.step, last.error) == ("finished", 3, 3 * STEPS, "")
    best = [event for event in of(Evaluated, events) if event.best][-1]
    assert last.message == (
        f"Finished 3 epochs; best val top-1 {best.metrics['val_top1']:.2%} in epoch {best.epoch + 1}."
    )


def test_each_epoch_has_its_metrics() -> None:
    events = of(Evaluated, list(train(make_job())))
    assert [(event.epoch, event.step) for event in events] == [(0, 6), (1, 12), (2, 18)]
    for event in events:
        assert set(event.metrics) == {"train_loss", "train_top1", "val_loss", "val_top1", "val_f1"}, (
            "top-5 of few classes is always 1"
        )
        assert all(0 <= value <= 1 for name, value in event.metrics.items() if not name.endswith("loss"))


def test_it_learns() -> None:
    events = of(Evaluated, list(train(make_job(epochs=30))))
    assert events[-1].metrics["train_loss"] < events[0].metrics["train_loss"] / 2


def test_every_epoch_asks_the_loader_for_its_own_order() -> None:
    job = make_job()
    list(train(job))
    assert job.train_loader.opened == [(0, 0), (1, 0), (2, 0)]
    assert job.val_loader.opened == [(0, 0)] * 3


def test_two_runs_say_the_same_but_for_times() -> None:
    def said() -> list[dict[str, Any]]:
        torch.manual_seed(3)
        times = ("time", "seconds", "images_per_second", "eta_seconds", "data_wait")
        return [{k: v for k, v in vars(e).items() if k not in times} for e in train(make_job())]

    assert said() == said()


def test_warnings_of_a_batch_are_told_before_its_step() -> None:
    job = make_job(epochs=1)
    job.train_loader.warn = {2: ("x.png is left out: damaged.",)}
    job.val_loader.warn = {1: ("y.png is left out: damaged.",)}
    events = list(train(job))
    assert kinds(events)[:4] == ["run_started", "progress", "warned", "progress"]
    assert [(e.topic, e.message[0]) for e in events if e.kind == "warned"] == [("data", "x"), ("data", "y")]


# Numbers --------------------------------------------------------------------------------------------------------------


def fixed_job(**changes: Any) -> Job:
    """A job that does not learn, so that its metrics can be worked out from outside."""
    job = make_job(lr=1e-30, **changes)
    job.model[1] = nn.Identity()
    return job


def expected(job: Job, loader: MemoryLoader) -> tuple[float, float]:
    with torch.no_grad():
        outputs = job.model(loader.images)
        loss = nn.functional.cross_entropy(outputs, loader.targets).item()
        return loss, (outputs.argmax(1) == loader.targets).double().mean().item()


def test_means_are_over_samples_although_the_last_batch_is_short() -> None:
    job = fixed_job(epochs=1)
    train_loss, train_top1 = expected(job, job.train_loader)
    val_loss, val_top1 = expected(job, job.val_loader)
    (event,) = of(Evaluated, list(train(job)))
    assert event.metrics["train_loss"] == pytest.approx(train_loss, rel=1e-6)
    assert event.metrics["val_loss"] == pytest.approx(val_loss, rel=1e-6)
    assert (event.metrics["train_top1"], event.metrics["val_top1"]) == (train_top1, val_top1)


def test_evaluation_counts_each_sample_once_whatever_the_batch_size() -> None:
    seen = []
    for batch_size in (1, 2, 3, 7, 100):
        job = fixed_job()
        job.val_loader.batch_size, job.val_loader.batches = batch_size, -(-7 // batch_size)
        given: list[int] = []
        job.prepare = lambda batch, given=given: given.append(len(batch.targets)) or (batch.inputs, batch.targets)
        metrics, events = ended(evaluate(job, NoCommands()))
        assert sum(given) == 7
        assert events[-1].samples == 7
        seen.append(metrics)
    for metrics in seen[1:]:
        assert metrics == pytest.approx(seen[0], rel=1e-6)


def ended(generator: Any) -> tuple[Any, list[Any]]:
    """What a generator returns, and what it yielded."""
    events = []
    while True:
        try:
            events.append(next(generator))
        except StopIteration as end:
            return end.value, events


def test_the_loss_of_an_interval_is_of_the_steps_since_the_last_event() -> None:
    job = fixed_job(epochs=1, log_every=4)
    first, second, _ = of(Progress, list(train(job)))
    assert (first.metrics["batch_loss"], first.metrics["batch_top1"]) == (
        first.metrics["train_loss"],
        first.metrics["train_top1"],
    )
    rest = (second.metrics["train_loss"] * 22 - first.metrics["train_loss"] * 16) / 6
    assert second.metrics["batch_loss"] == pytest.approx(rest, rel=1e-5)


def test_validation_is_done_without_dropout_and_training_with_it() -> None:
    modes: list[tuple[str, bool]] = []
    job = make_job(epochs=1)
    job.model.register_forward_hook(lambda model, *_: modes.append((str(torch.is_grad_enabled()), model.training)))
    list(train(job))
    assert modes == [("True", True)] * STEPS + [("False", False)] * 2


def test_no_mode_of_torch_leaks_into_the_consumer() -> None:
    for event in train(make_job(epochs=2, log_every=1)):
        assert torch.is_grad_enabled(), event
        assert not torch.is_inference_mode_enabled(), event
        x = torch.ones(1, requires_grad=True)
        assert (x * 2).requires_grad, event


def test_a_mode_of_the_consumer_does_not_reach_into_evaluation_metrics() -> None:
    """A generator that was left in the middle changes nothing for what comes after it."""
    events = train(make_job(log_every=1))
    for event in events:
        if isinstance(event, Progress) and event.part == "val":
            break
    events.close()  # type: ignore[attr-defined]
    assert torch.is_grad_enabled()


def test_the_learning_rate_of_each_step_follows_its_schedule() -> None:
    job = make_job(epochs=2, lr_schedule=Schedule(shape="linear", warmup=0.5))
    rates = [event.lr for event in of(Progress, list(train(job))) if event.part == "train"]
    assert rates[0] == pytest.approx(0.1 * 0.01)
    assert rates[3] == pytest.approx(0.1)  # position 0.5
    assert rates[9] == pytest.approx(0.1 / 3)  # position 1.5 of 0.5 to 2
    assert len(rates) == 12


def test_a_loss_that_is_not_a_number_ends_the_run() -> None:
    job = make_job(lr=1e30, log_every=2)
    events = train(job)
    seen: list[Event] = []
    with pytest.raises(TrainingError, match=r"not a finite number at step \d+: training diverged. Try a smaller --lr"):
        seen.extend(iter(lambda: next(events), None))
    assert job.state.step % 2 == 0


@pytest.mark.parametrize("loader", ["train_loader", "val_loader"])
def test_a_part_of_which_nothing_could_be_read_ends_the_run(loader: str) -> None:
    job = make_job()
    getattr(job, loader).epoch = lambda number, start=0: iter(())
    part = loader.partition("_")[0]
    with pytest.raises(TrainingError, match=f"None of the samples of the {part} part could be read"):
        list(train(job))


# Best, last, early stop -----------------------------------------------------------------------------------------------


def with_metrics(monkeypatch: pytest.MonkeyPatch, name: str, values: list[float]) -> None:
    """Let evaluation find these values, epoch by epoch."""
    given = iter(values)

    def found(job: Job, commands: object) -> Iterator[Event]:
        yield from ()
        return {name: next(given)}

    monkeypatch.setattr(loop, "evaluate", found)


@pytest.mark.parametrize(
    ("monitor", "values", "best"),
    [
        ("val_top1", [0.5, 0.4, 0.5, 0.6, math.nan], [True, False, False, True, False]),
        ("val_loss", [0.5, 0.6, 0.5, 0.4, 0.7], [True, False, False, True, False]),
    ],
)
def test_what_best_means(monkeypatch: pytest.MonkeyPatch, monitor: str, values: list[float], best: list[bool]) -> None:
    with_metrics(monkeypatch, monitor, values)
    events = list(train(make_job(epochs=5, monitor=monitor)))
    assert [event.best for event in of(Evaluated, events)] == best


def test_an_epoch_whose_loss_is_not_a_number_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_metrics(monkeypatch, "val_loss", [0.5, math.nan])
    job = make_job(epochs=3, monitor="val_loss", checkpoints=tmp_path)
    with pytest.raises(TrainingError, match="diverged"):
        list(train(job))
    (only,) = tmp_path.glob("step-*.json")
    assert only.name == f"step-{job.train_loader.batches}.json"


def test_the_best_weights_are_those_of_the_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    with_metrics(monkeypatch, "val_top1", [0.5, 0.9, 0.7])
    job = make_job(checkpoints=tmp_path)
    after_epoch = [weights(job) for event in train(job) if isinstance(event, Evaluated)]
    for name, epoch in (("best", 1), ("final", 2)):
        kept = load_file(tmp_path / f"{name}.safetensors")
        assert [kept[key].flatten().tolist() for key in job.model.state_dict()] == after_epoch[epoch]
    assert (job.state.best, job.state.best_epoch) == (0.9, 1)


@pytest.mark.parametrize(
    ("values", "min_delta", "epochs"),
    [
        ([0.5, 0.4, 0.4, 0.9], 0.0, 3),
        ([0.5, 0.4, 0.6, 0.6, 0.6, 0.9], 0.0, 5),
        ([0.5, 0.55, 0.58, 0.61, 0.9], 0.1, 3),
        ([0.1, 0.2, 0.3, 0.4], 0.0, 4),
    ],
)
def test_the_run_ends_early_after_so_many_epochs_without_a_better_value(
    monkeypatch: pytest.MonkeyPatch, values: list[float], min_delta: float, epochs: int
) -> None:
    with_metrics(monkeypatch, "val_top1", values)
    last = list(train(make_job(epochs=len(values), patience=2, min_delta=min_delta)))[-1]
    assert isinstance(last, RunEnded)
    assert last.epochs == epochs
    assert last.outcome == ("finished" if epochs == len(values) else "early_stopped")


# Commands -------------------------------------------------------------------------------------------------------------


def test_a_pause_waits_and_answers_with_the_step(tmp_path: Path) -> None:
    script = Script(at2=[Pause()], at5=[Checkpoint()], at7=[Resume()], at9=[Stop()])
    job = make_job(checkpoints=tmp_path)
    events = list(train(job, script))
    assert [e for e in kinds(events) if e != "progress"] == [
        "run_started", "paused", "checkpoint_saved", "resumed", "checkpoint_saved", "run_ended",
    ]  # fmt: skip
    assert [event.step for event in events if event.kind in ("paused", "resumed")] == [2, 2]
    assert [event.step for event in of(CheckpointSaved, events)] == [2, 4]
    assert script.waits == 5


def test_a_pause_changes_nothing_but_the_time() -> None:
    one, other = make_job(), make_job()
    plain = [e for e in list(train(one)) if isinstance(e, Evaluated)]
    torch.manual_seed(3)
    paused = list(train(other, Script(at3=[Pause()], at5=[Pause(), Resume()], at6=[Pause(), Pause()], at8=[Resume()])))
    assert (kinds(paused).count("paused"), kinds(paused).count("resumed")) == (4, 2), "each is answered"
    assert [e.metrics for e in of(Evaluated, paused)] == [e.metrics for e in plain]
    assert weights(one) == weights(other)


def test_a_resume_without_a_pause_is_answered_and_changes_nothing() -> None:
    one, other = make_job(), make_job()
    list(train(one))
    torch.manual_seed(3)
    answers = [event.step for event in train(other, Script(at2=[Resume()])) if event.kind == "resumed"]
    assert answers == [2]
    assert weights(one) == weights(other)


def test_an_evaluation_in_the_middle_of_an_epoch_is_answered_and_changes_nothing() -> None:
    one, other = make_job(epochs=2), make_job(epochs=2)
    plain = of(Evaluated, list(train(one)))
    torch.manual_seed(3)
    looks = Script(at2=[Evaluate()], at6=[Pause(), Evaluate()], at9=[Resume()])
    events = list(train(other, looks))
    assert [event.step for event in of(EvaluatedNow, events)] == [2, 4]
    assert [event.metrics for event in of(Evaluated, events)] == [event.metrics for event in plain]
    assert set(of(EvaluatedNow, events)[0].metrics) == {"val_loss", "val_top1", "val_f1"}
    assert weights(one) == weights(other)


def test_an_evaluation_that_is_going_on_answers_too() -> None:
    events = list(train(make_job(epochs=1), Script(at7=[Evaluate()])))
    (now,) = of(EvaluatedNow, events)
    (epoch,) = of(Evaluated, events)
    assert now.metrics.items() <= epoch.metrics.items()


@pytest.mark.parametrize("look", range(1, 2 * (STEPS + 2) + 1))
def test_a_stop_at_any_look_saves_there_and_goes_on_exactly(tmp_path: Path, look: int) -> None:
    """Looks 1 to 6 of an epoch are after its steps, 7 and 8 in its validation."""
    epoch, within = divmod(look - 1, STEPS + 2)
    step = epoch * STEPS + min(within + 1, STEPS)
    whole = make_job(epochs=2)
    wanted = of(Evaluated, list(train(whole)))

    torch.manual_seed(3)
    cut = make_job(epochs=2, checkpoints=tmp_path)
    before = list(train(cut, Script(**{f"at{look}": [Stop()]})))
    assert kinds(before)[-2:] == ["checkpoint_saved", "run_ended"]
    assert isinstance(before[-1], RunEnded)
    assert (before[-1].outcome, before[-1].step, before[-2].step) == ("stopped", step, step)

    torch.manual_seed(999)  # what a new process starts with is of no consequence
    job = make_job(epochs=2)
    job.load_dict(checkpoint.load_newest(tmp_path, pytest.fail))
    after = list(train(job))
    assert isinstance(after[0], RunStarted)
    assert (after[0].step, after[0].epoch) == (step, epoch)
    assert weights(job) == weights(whole)
    evaluated = {e.epoch: (e.metrics, e.best, e.step) for e in of(Evaluated, before + after)}
    assert evaluated == {e.epoch: (e.metrics, e.best, e.step) for e in wanted}
    assert len(of(Evaluated, before + after)) == 2


def test_a_resumed_epoch_says_what_the_whole_one_says(tmp_path: Path) -> None:
    """Not only the end: each progress event after the cut, with an interval that was cut in its middle."""

    def said(events: list[Event], after: int) -> list[Any]:
        return [(e.part, e.step, e.samples, e.lr, e.metrics) for e in of(Progress, events) if e.step > after]

    whole = said(list(train(make_job(log_every=4, lr_schedule=Schedule(shape="cosine")))), 3)
    torch.manual_seed(3)
    cut = make_job(log_every=4, lr_schedule=Schedule(shape="cosine"), checkpoints=tmp_path)
    list(train(cut, Script(at3=[Stop()])))
    job = make_job(log_every=4, lr_schedule=Schedule(shape="cosine"))
    job.load_dict(checkpoint.load_newest(tmp_path, pytest.fail))
    assert said(list(train(job)), 3) == whole


def test_an_abort_leaves_the_last_checkpoint_and_saves_nothing(tmp_path: Path) -> None:
    events = list(train(make_job(checkpoints=tmp_path), Script(at3=[Checkpoint()], at5=[Abort()])))
    assert kinds(events)[-2:] == ["progress", "run_ended"]
    assert isinstance(events[-1], RunEnded)
    assert (events[-1].outcome, events[-1].step) == ("aborted", 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-3.json", "step-3.pt"]


@pytest.mark.parametrize(("command", "outcome"), [(Stop(), "stopped"), (Abort(), "aborted")])
def test_a_paused_run_can_be_ended(command: Any, outcome: str) -> None:
    events = list(train(make_job(), Script(at2=[Pause()], at4=[command])))
    assert isinstance(events[-1], RunEnded)
    assert (events[-1].outcome, events[-1].step) == (outcome, 2)
    assert "resumed" not in kinds(events)


def test_an_abort_beats_a_stop_and_not_the_other_way() -> None:
    for given in ([Stop(), Abort()], [Abort(), Stop()]):
        last = list(train(make_job(), Script(at2=given)))[-1]
        assert isinstance(last, RunEnded)
        assert last.outcome == "aborted"


def test_settings_change_while_running_and_are_told() -> None:
    sets = [Set(name="lr", value=0.0123456789), Set(name="epochs", value=2), Set(name="patience", value=1)]
    events = list(train(make_job(), Script(at3=sets)))
    changed = [(e.name, e.value, e.step, e.reason) for e in of(SettingChanged, events)]
    assert changed == [
        ("lr", "0.0123456789", 3, "set while running"),
        ("epochs", "2", 3, "set while running"),
        ("patience", "1", 3, "set while running"),
    ]
    rates = [e.lr for e in of(Progress, events) if e.part == "train"]
    assert rates[:3] == [0.1] * 3
    assert set(rates[3:]) == {0.0123456789}
    assert len(of(Evaluated, events)) == 2


def test_more_epochs_are_trained_when_asked_for_in_the_last_one() -> None:
    events = list(train(make_job(epochs=1), Script(at2=[Set(name="epochs", value=3)])))
    assert [event.epoch for event in of(Evaluated, events)] == [0, 1, 2]


def test_commands_are_looked_for_after_every_batch_of_both_parts() -> None:
    script = Script()
    list(train(make_job(epochs=2), script))
    assert script.looks == 2 * (STEPS + 2)


# The loop as a text ---------------------------------------------------------------------------------------------------


def test_the_loop_is_at_most_a_hundred_lines() -> None:
    tree = ast.parse(inspect.getsource(loop))
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1 for node in tree.body if isinstance(node, ast.FunctionDef)
    }
    assert lengths["train"] <= 100
    assert lengths["train"] <= 40, "it is a page, and stays one"
    assert all(lines <= 40 for lines in lengths.values()), lengths


def test_a_step_reads_like_the_tutorial() -> None:
    lines = [line.strip() for line in inspect.getsource(step.train_step).splitlines()]
    wanted = [
        "zero_grad(job.optimizer)",
        "outputs = job.trained(inputs)",
        "loss = job.loss_func(outputs, mixed)",
    ]
    assert [line for line in lines if line in wanted] == wanted


ENGINE = sorted(Path(loop.__file__).parent.glob("*.py"))
NOISY = {"rich", "textual", "logging", "tqdm", "warnings", "sys", "print", "input"}


@pytest.mark.parametrize("file", ENGINE, ids=lambda file: file.name)
def test_the_engine_prints_logs_and_draws_nothing(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names = [node.func.id]
        assert not NOISY & {name.partition(".")[0] for name in names}, f"{file.name}:{node.lineno}"  # type: ignore[attr-defined]


def test_the_engine_says_nothing_while_it_trains(
    capfd: pytest.CaptureFixture[str], caplog: Any, tmp_path: Path
) -> None:
    list(train(make_job(checkpoints=tmp_path)))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
