"""The front end without screens: progress on stderr, the result on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui_trainer.errors import UserError
from tui_trainer.events import (
    CheckpointSaved,
    Evaluated,
    EvaluatedNow,
    Event,
    Paused,
    Progress,
    Resumed,
    RunEnded,
    RunStarted,
    SettingChanged,
    Warned,
    plain,
)
from tui_trainer.few_files import FewFiles
from tui_trainer.metric_names import headline, label
from tui_trainer.metric_names import in_words as metric_in_words
from tui_trainer.text import bad_in_words, display, duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

PLAIN_EVERY = 10.0  # seconds between two plain progress lines


@dataclass
class Summary:
    """The result of a run, gathered from its events."""

    run: str = ""
    outcome: str = ""
    message: str = ""
    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    warnings: int = 0
    _past: list[Evaluated] = field(default_factory=list)

    def add_all(self, events: Iterable[Event]) -> None:
        """Take in what happened before."""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, RunStarted):
            self._take_back(event.epoch)
        if isinstance(event, Evaluated):
            self._past.append(event)
            self._sum_up()
        elif isinstance(event, RunEnded):
            self.outcome, self.message = event.outcome, event.message
            self.epochs, self.steps, self.seconds = event.epochs, event.step, event.seconds
        elif isinstance(event, Warned):
            self.warnings += 1

    def _take_back(self, epochs: int) -> None:
        """A run goes on from so many epochs: what a process that was killed trained after them comes again."""
        self._past = [past for past in self._past if past.epoch < epochs]
        self._sum_up()

    def _sum_up(self) -> None:
        best = next((past for past in reversed(self._past) if past.best), None)
        self.metrics = dict(self._past[-1].metrics) if self._past else {}
        self.best = {"epoch": best.epoch + 1, **best.metrics} if best else {}

    def to_json(self, error: UserError | None) -> str:
        """The one object of `--json`."""
        record: dict[str, Any] = {
            "run": self.run or None,
            "outcome": self.outcome or "failed",
            "epochs": self.epochs,
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "metrics": self.metrics,
            "best": self.best or None,
        }
        if error is not None:
            record["error"] = {"kind": error.kind, "message": str(error)}
        return json.dumps(plain(record), allow_nan=False)


def in_words(event: Event, epochs: int) -> str:
    """An event as one line of text; empty for those that only move a bar."""
    match event:
        case RunStarted():
            return (
                f"{event.model} with {event.parameters:,} parameters on {event.where}: {_learns(event)}, "
                f"{_length(event)}" + (f", from step {event.step}" if event.step else "")
            )
        case Evaluated():
            m = event.metrics
            return (
                f"epoch {event.epoch + 1:>{len(str(epochs))}}/{epochs}  "
                f"{_scores('train', m)}  {_scores('val', m)}  {event.seconds:.1f} s" + ("  best" if event.best else "")
            )
        case SettingChanged():
            return f"{event.name} = {event.value} ({event.reason})"
        case Warned():
            return f"warning: {event.message}"
        case Paused():
            return f"paused after step {event.step}"
        case Resumed():
            return "going on"
        case EvaluatedNow():
            values = "  ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
            return f"evaluated after step {event.step}: {values}"
        case _:
            return ""


def _length(event: RunStarted) -> str:
    if not event.steps_per_epoch:
        return "streams whose length nobody knows before an epoch has ended"
    return (
        f"{event.train_samples:,} training and {event.val_samples:,} validation {event.unit}"
        f"{bad_in_words((event.train_bad, event.val_bad))}, "
        f"{event.steps_per_epoch:,} step{'s' * (event.steps_per_epoch != 1)} an epoch"
    )


def _left(event: Progress) -> str:
    """How long it will take, once that is known."""
    return f"{duration(event.eta_seconds)} left" if event.batches else "time left: after an epoch"


def _learns(event: RunStarted) -> str:
    if event.task == "regression":
        return f"predicts {display(', '.join(event.targets), 80)}"
    return f"{len(event.classes)} {'classes' if event.task == 'classification' else 'labels'}"


def _scores(part: str, metrics: Mapping[str, float], gap: str = " ") -> str:
    """Loss and the metric that counts of a part; empty where there is none."""
    name = headline(metrics)
    loss, score = metrics.get(f"{part}_loss"), metrics.get(f"{part}_{name}")
    if loss is None or score is None:
        return ""
    return f"{part} loss {loss:.4f}{gap}{label(name)} {metric_in_words(name, score, 6)}"


class PlainProgress:
    """One line an epoch, and in between one every ten seconds: for logs and pipes."""

    def __init__(self) -> None:
        self._epochs, self._unit, self._last = 0, "images", time.monotonic()
        self._files = FewFiles()

    def tell(self, text: str) -> None:
        """What is being prepared."""
        print(f"{text} ...", file=sys.stderr, flush=True)

    def __call__(self, event: Event) -> None:
        """Print it."""
        if isinstance(event, RunStarted):
            self._epochs, self._unit = event.epochs, event.unit
        if rest := self._files.rest(event):
            print(rest, file=sys.stderr, flush=True)
        line = in_words(event, self._epochs) if self._files.passes(event) else ""
        if isinstance(event, Progress) and time.monotonic() - self._last >= PLAIN_EVERY:
            part = event.part
            line = (
                f"epoch {event.epoch + 1}/{self._epochs} {part} {event.batch}/{event.batches or '?'}  "
                f"{_scores(part, event.metrics).removeprefix(part).strip()}  "
                f"{event.images_per_second:.0f} {self._unit}/s  {_left(event)}"
            )
        if line:
            self._last = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is left on the screen."""


class LiveProgress:
    """Two bars, epoch and run, under the lines of the epochs: for a terminal."""

    def __init__(self) -> None:
        from tui_trainer.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("starting")
        self._status.start()
        self._bars: Bars | None = None
        self._epochs, self._unit, self._files = 0, "images", FewFiles()

    def tell(self, text: str) -> None:
        """What is being prepared."""
        from rich.text import Text

        self._status.update(Text(text))

    def __call__(self, event: Event) -> None:
        """Draw it."""
        from rich.text import Text

        if isinstance(event, RunStarted):
            self._begin(event)
        elif isinstance(event, Progress) and self._bars:
            self._move(event)
        elif isinstance(event, CheckpointSaved):
            return
        if rest := self._files.rest(event):
            self._console.print(Text(rest, style="yellow"))
        if self._files.passes(event) and (line := in_words(event, self._epochs)):
            style = "yellow" if isinstance(event, Warned) else "dim" if isinstance(event, SettingChanged) else ""
            if isinstance(event, Evaluated) and event.best:
                style = "green"
            self._console.print(Text(line, style=style))

    def _begin(self, event: RunStarted) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        self._status.stop()
        self._epochs, self._unit = event.epochs, event.unit
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[text]}"),
        )
        self._bars = Bars(*columns, console=self._console, transient=True, expand=True)
        self._part = self._bars.add_task("", text="")
        self._run = self._bars.add_task("run", total=event.epochs, completed=event.epoch, text="")
        self._bars.start()

    def _move(self, event: Progress) -> None:
        assert self._bars is not None
        scores = _scores(event.part, event.metrics, "  ").removeprefix(event.part).strip()
        self._bars.update(
            self._part,
            description=f"{event.part:<5}",
            total=event.batches or None,
            completed=event.batch,
            text=f"{scores}  {event.images_per_second:,.0f} {self._unit}/s",
        )
        done = event.epoch + (event.batch / max(1, event.batches) * bool(event.batches) if event.part == "train" else 1)
        text = f"epoch {event.epoch + 1}/{self._epochs}  {_left(event)}"
        self._bars.update(self._run, description="run  ", completed=done, text=text)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._status.stop()
        if self._bars:
            self._bars.stop()


def print_result(summary: Summary, as_json: bool, error: UserError | None) -> None:
    """The result on stdout: a table, or one JSON object."""
    if as_json:
        print(summary.to_json(error), flush=True)
        return
    if not summary.run:
        return
    from rich.text import Text

    from tui_trainer.console import Console

    console = Console(highlight=False)
    rows = {"outcome": summary.message, "time": duration(summary.seconds), "run": display(summary.run, 500)}
    if summary.best:
        rows["best"] = f"epoch {summary.best['epoch']:.0f}: {_metrics(summary.best)}"
    if summary.metrics:
        rows["last"] = _metrics(summary.metrics)
    if summary.warnings:
        rows["warnings"] = f"{summary.warnings}, see events.jsonl"
    for name, value in rows.items():
        console.print(Text.assemble((f"{name:<8}", "bold"), "  ", value), soft_wrap=True)


def _metrics(metrics: dict[str, float]) -> str:
    """Rates as percent, losses as numbers."""
    shown = {name: value for name, value in metrics.items() if name.startswith("val_")}
    return "  ".join(f"{name} {metric_in_words(name, value)}" for name, value in shown.items())


def choose_progress() -> PlainProgress | LiveProgress:
    """Bars on a terminal, lines elsewhere."""
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()
