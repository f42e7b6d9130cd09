"""What is known of a run from its events: one plain object that screens and front ends draw.

It holds no curve: points go to the charts as they come. It is the same for a run of this process,
of another one, and of last night.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tui_trainer.events import (
    LEFT_OUT,
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
)
from tui_trainer.metric_names import headline, in_words, label
from tui_trainer.text import duration

LOG_LINES = 500
ENDED = ("finished", "early_stopped", "stopped", "aborted", "failed")


@dataclass(frozen=True)
class LogLine:
    """One line of the log; `level` is info, good or warning."""

    time: float
    level: str
    text: str


@dataclass
class RunState:
    """The run so far. Before its first event it is "starting"."""

    phase: str = "starting"
    detail: str = ""
    model: str = ""
    device: str = ""
    parameters: int = 0
    classes: tuple[str, ...] = ()
    task: str = "classification"
    unit: str = "images"
    train_samples: int = 0
    val_samples: int = 0
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    batch: int = 0
    batches: int = 0
    lr: float = math.nan
    images_per_second: float = 0.0
    data_wait: float = 0.0
    eta_seconds: float = 0.0
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: list[Evaluated] = field(default_factory=list)
    best: Evaluated | None = None
    warnings: int = 0
    left_out: set[str] = field(default_factory=set)  # names of the files that cannot be read
    saved: bool = False  # whether there is a checkpoint to go on from
    outcome: str = ""
    message: str = ""
    logged: int = 0  # lines so far; the oldest are dropped
    log: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LOG_LINES))

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return bool(self.outcome)

    @property
    def epoch_done(self) -> float:
        """How much of this epoch's part is done, in [0, 1]."""
        return min(1.0, self.batch / self.batches) if self.batches else 0.0

    @property
    def batches_in_words(self) -> str:
        """How many of this epoch's part are done, and of how many, if anybody knows."""
        return f"{self.batch}/{self.batches or '?'}"

    @property
    def left_in_words(self) -> str:
        """How long it will take; the length of a stream is known when an epoch of it has ended."""
        if self.eta_seconds:
            return f"{duration(self.eta_seconds)} left"
        return "time left: after an epoch" if self.batch and not self.batches else duration(self.seconds)

    @property
    def run_done(self) -> float:
        """How much of the run is trained, in [0, 1]; validation counts as the end of its epoch."""
        if not self.epochs:
            return 0.0
        part = 1.0 if self.phase == "validating" else self.epoch_done
        return min(1.0, (self.epoch + part) / self.epochs) if self.outcome != "finished" else 1.0

    def add(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case RunStarted():
                self._start(event)
            case Progress():
                self._progress(event)
            case Evaluated():
                self._evaluated(event)
            case RunEnded():
                self.phase = self.outcome = event.outcome
                self.message, self.step, self.seconds = event.message, event.step, event.seconds
                self.eta_seconds = 0.0
                self._say(event, "warning" if event.outcome == "failed" else "good", event.message)
            case Paused():
                self.phase = "paused"
                self._say(event, "info", f"paused after step {event.step}")
            case Resumed():
                self.phase = "training"
                self._say(event, "info", "going on")
            case EvaluatedNow():
                self.phase = "training"
                values = "  ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
                self._say(event, "good", f"evaluated after step {event.step}: {values}")
            case CheckpointSaved():
                self.saved = True
                self._say(event, "info", f"checkpoint {event.file} saved")
            case SettingChanged():
                if event.name == "epochs" and event.value.isdecimal():
                    self.epochs = int(event.value)
                self._say(event, "info", f"{event.name} = {event.value} ({event.reason})")
            case Warned():
                self.warnings += 1
                if event.of_a_file:
                    self.left_out.add(event.message.partition(LEFT_OUT)[0])
                self._say(event, "warning", event.message)

    def _say(self, event: Event, level: str, text: str) -> None:
        self.logged += 1
        self.log.append(LogLine(event.time, level, text))

    def _start(self, event: RunStarted) -> None:
        self.phase, self.outcome, self.message = "warming up", "", ""
        self.model, self.device, self.parameters = event.model, event.where, event.parameters
        self.classes, self.epochs = event.classes, event.epochs
        self.task, self.unit = event.task, event.unit
        self.train_samples, self.val_samples = event.train_samples, event.val_samples
        self.epoch, self.step, self.batches = event.epoch, event.step, event.steps_per_epoch
        self.saved = self.saved or event.step > 0
        self.history = [past for past in self.history if past.epoch < event.epoch]
        self.best = next((past for past in reversed(self.history) if past.best), None)
        going_on = f" from step {event.step}" if event.step else ""
        self._say(event, "info", f"{event.model}, {event.parameters:,} parameters, on {event.where}{going_on}")

    def _progress(self, event: Progress) -> None:
        self.phase = "training" if event.part == "train" else "validating"
        self.epoch, self.step, self.batch, self.batches = event.epoch, event.step, event.batch, event.batches
        self.lr, self.images_per_second = event.lr, event.images_per_second
        if event.part == "train":
            self.data_wait = 0.9 * self.data_wait + 0.1 * event.data_wait  # a first batch alone says nothing
        self.eta_seconds, self.seconds = event.eta_seconds, event.seconds
        self.metrics = {**self.metrics, **event.metrics}

    def _evaluated(self, event: Evaluated) -> None:
        self.phase = "saving"
        self.history.append(event)
        self.metrics = {**self.metrics, **event.metrics}
        self.best = event if event.best else self.best
        name, loss = headline(event.metrics), event.metrics.get("val_loss", math.nan)
        score = event.metrics.get(f"val_{name}")
        shown = f"val loss {loss:.4f}"
        if score is not None:
            shown = f"val {label(name)} {in_words(name, score)}, loss {loss:.4f}"
        self._say(event, "good" if event.best else "info", f"epoch {event.epoch + 1}: {shown}" + ", best" * event.best)


def not_repeated(events: Iterable[Event]) -> list[Event]:
    """The events of a run without what was trained again after a resume: no point comes twice."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, RunStarted) and event.step:
            kept = [e for e in kept if not (isinstance(e, Progress | Evaluated) and e.step > event.step)]
        kept.append(event)
    return kept
