import io
import json
import sys
from typing import Any

import pytest

from tui_trainer import headless
from tui_trainer.errors import DataError
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
from tui_trainer.headless import LiveProgress, PlainProgress, Summary, choose_progress, in_words, print_result

METRICS = {"train_loss": 0.5, "train_top1": 0.75, "val_loss": 0.25, "val_top1": 0.9, "val_top5": 1.0, "val_f1": 0.875}


def started(**changes: Any) -> RunStarted:
    values: dict[str, Any] = {
        "model": "lenet", "parameters": 81194, "device": "cpu", "classes": ("a", "b"), "train_samples": 1438,
        "val_samples": 359, "steps_per_epoch": 45, "epochs": 12,
    }  # fmt: skip
    return RunStarted(**{**values, **changes})


def evaluated(epoch: int, *, best: bool, **metrics: float) -> Evaluated:
    return Evaluated(epoch=epoch, step=9, lr=0.1, metrics={**METRICS, **metrics}, best=best, seconds=3.21)


def progress(part: str) -> Progress:
    metrics = {f"{part}_loss": 0.125, f"{part}_top1": 0.5}
    return Progress(
        part=part, epoch=1, step=50, batch=5, batches=45, samples=160, lr=0.1, metrics=metrics, seconds=2.0,
        images_per_second=1234.5, eta_seconds=200.0,
    )  # fmt: skip


ENDED = RunEnded(outcome="finished", message="Finished 2 epochs.", epochs=2, step=90, seconds=61.0)
STORY: list[Event] = [
    Warned(topic="data", message="Class b has one image only."),
    SettingChanged(step=0, name="channels", value="1", reason="grey images"),
    started(),
    progress("train"),
    progress("val"),
    evaluated(0, best=True, val_top1=0.95),
    CheckpointSaved(epoch=1, step=45, file="step-45.pt"),
    Paused(step=50),
    Resumed(step=50),
    evaluated(1, best=False),
    ENDED,
]


def test_every_event_in_words() -> None:
    assert [in_words(event, 12) for event in STORY] == [
        "warning: Class b has one image only.",
        "channels = 1 (grey images)",
        "lenet with 81,194 parameters on cpu: 2 classes, 1,438 training and 359 validation images, 45 steps an epoch",
        "",
        "",
        "epoch  1/12  train loss 0.5000 top-1 75.00%  val loss 0.2500 top-1 95.00%  3.2 s  best",
        "",
        "paused after step 50",
        "going on",
        "epoch  2/12  train loss 0.5000 top-1 75.00%  val loss 0.2500 top-1 90.00%  3.2 s",
        "",
    ]
    assert in_words(started(step=7), 12).endswith("45 steps an epoch, from step 7")
    counts = "1,438 training and 359 validation images (9 and 0 cannot be read), 45 steps an epoch"
    assert counts in in_words(started(train_bad=9), 12)


def test_a_summary_is_gathered_from_events() -> None:
    summary = Summary(run="/runs/x")
    summary.add_all(STORY)
    record = json.loads(summary.to_json(None))
    assert record == {
        "run": "/runs/x", "outcome": "finished", "epochs": 2, "steps": 90, "seconds": 61.0, "metrics": METRICS,
        "best": {"epoch": 1, **METRICS, "val_top1": 0.95},
    }  # fmt: skip
    assert summary.warnings == 1


def test_a_failure_stands_in_the_summary() -> None:
    record = json.loads(Summary().to_json(DataError("no images")))
    assert record["error"] == {"kind": "data", "message": "no images"}
    assert (record["run"], record["outcome"], record["best"], record["metrics"]) == (None, "failed", None, {})


def test_the_result_is_a_few_lines_none_of_them_folded(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary(run="/" + "very-long-name/" * 20 + "run")
    summary.add_all(STORY)
    print_result(summary, as_json=False, error=None)
    assert capsys.readouterr().out.splitlines() == [
        "outcome   Finished 2 epochs.",
        "time      1 min 1 s",
        f"run       {summary.run}",
        "best      epoch 1: val_loss 0.2500  val_top1 95.00%  val_top5 100.00%  val_f1 87.50%",
        "last      val_loss 0.2500  val_top1 90.00%  val_top5 100.00%  val_f1 87.50%",
        "warnings  1, see events.jsonl",
    ]


def test_names_in_the_result_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary(run="/[red]x[/red]\x1b[31m\udcff", message="[bold]m[/bold]")
    print_result(summary, as_json=False, error=None)
    out = capsys.readouterr().out
    assert "[bold]m[/bold]" in out
    assert "/[red]x[/red]\\x1b[31m\\xff" in out


def test_without_a_run_there_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(Summary(), as_json=False, error=None)
    assert capsys.readouterr().out == ""


def test_plain_progress_is_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    plain = PlainProgress()
    plain.tell("loading PyTorch")
    for event in STORY:
        plain(event)
    plain.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "loading PyTorch ..."
    assert err.splitlines()[1:] == [line for event in STORY if (line := in_words(event, 12))]


def test_of_many_files_that_are_left_out_five_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    plain, files = PlainProgress(), [Warned(topic="data", message=f"{i}.png is left out: empty.") for i in range(12)]
    for event in (started(), *files[:7], evaluated(0, best=True), *files[7:], ENDED):
        plain(event)
    lines = capsys.readouterr().err.splitlines()[1:]
    assert lines[:5] == [f"warning: {i}.png is left out: empty." for i in range(5)]
    assert lines[5] == "and 2 more: see bad_files.csv of the run"
    assert lines[6].startswith("epoch  1/12")
    assert lines[7:] == ["and 5 more: see bad_files.csv of the run"]


def test_plain_progress_between_epochs_comes_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(headless.time, "monotonic", lambda: now[0])
    plain = PlainProgress()
    plain(started())
    for now[0] in (5.0, 9.9, 10.0, 15.0, 20.0):
        plain(progress("train"))
    lines = capsys.readouterr().err.splitlines()[1:]
    assert lines == ["epoch 2/12 train 5/45  loss 0.1250 top-1 50.00%  1234 images/s  3 min 20 s left"] * 2


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("no_color", [False, True])
def test_live_progress_draws_on_stderr_and_leaves_the_cursor_visible(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_color: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    live = choose_progress()
    assert isinstance(live, LiveProgress)
    live.tell("scanning [x]")
    for event in [*STORY[:2], Warned(topic="data", message="[red]name[/red]"), *STORY[2:]]:
        live(event)
    live.close()
    live.close()
    text = terminal.getvalue()
    assert capsys.readouterr().out == ""
    assert "warning: [red]name[/red]" in text
    assert "epoch  2/12" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert ("\x1b[33m" in text) is not no_color


def test_without_a_terminal_progress_is_plain() -> None:
    assert isinstance(choose_progress(), PlainProgress)
