"""Screens in tests: a session that is scripted, nothing that changes with the clock or the machine."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual._context import active_app
from textual.pilot import Pilot

from tests.conftest import PATIENCE
from tui_trainer.commands import Command
from tui_trainer.config import resolve
from tui_trainer.events import CheckpointSaved, Evaluated, Event, Progress, RunEnded, RunStarted, Warned
from tui_trainer.run_folder import RunFolder
from tui_trainer.settings import Value
from tui_trainer.tui import usage
from tui_trainer.tui.app import TrainerApp

MAKER = Callable[..., TrainerApp]


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Own preferences and runs, fixed figures, no blinking cursor."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(usage, "gpu_gigabytes", lambda: None)
    monkeypatch.setattr(usage, "memory_megabytes", lambda: 321.0)
    monkeypatch.setattr(usage, "cpu_share", lambda: 0.95)
    monkeypatch.setattr("textual.screen.UPDATE_PERIOD", 0.001)
    for user in ("app", "pilot"):
        monkeypatch.setattr(f"textual.{user}.wait_for_idle", wait_for_idle)


async def wait_for_idle(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Until nothing is left to do or to draw.

    Textual's own waits until the process has computed nothing for 20 ms, twice a key: longer beside busy threads.
    """
    loop, app, end = asyncio.get_running_loop(), active_app.get(), time.monotonic() + max_sleep
    idle = 0
    while idle < 3 and not app._exit and time.monotonic() < end:
        due = bool(app.screen_stack) and app.screen._update_timer._active.is_set()
        await asyncio.sleep(0.001 if due else 0)
        idle = 0 if due or loop._ready else idle + 1  # type: ignore[attr-defined]


@pytest.fixture
def make_app() -> MAKER:
    """An app whose screens are filled in with some settings."""

    def make(first: str = "home", **settings: Value) -> TrainerApp:
        app = TrainerApp(resolve(settings), first=first)
        app.animation_level = "none"
        return app

    return make


class ScriptedSession:
    """Hands out the events that a test puts in, and keeps the commands that a screen sends."""

    waiting_for = ""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = RunFolder(folder) if folder else None
        self.owned = True
        self.sent: list[Command] = []
        self.said: list[Event | BaseException | None] = []
        self._events: queue.Queue[Event | BaseException | None] = queue.Queue()

    def say(self, *events: Event | BaseException | None) -> None:
        """Let the run say this next; None ends it."""
        for event in events:
            self.said.append(event)
            self._events.put(event)

    def events(self) -> Iterator[Event]:
        """What was put in."""
        while (event := self._events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event

    def send(self, command: Command) -> None:
        """Keep it."""
        self.sent.append(command)

    def close(self) -> None:
        """End."""
        self.say(None)


async def until(pilot: Pilot[int], done: Callable[[], object]) -> None:
    """Let the app go on until something is so."""
    begin = time.monotonic()
    while not done():
        assert time.monotonic() - begin < PATIENCE, "it did not happen"
        await asyncio.sleep(0.005)  # a pause of the pilot asks every widget
    await pilot.pause()


async def settle(pilot: Pilot[int], app: TrainerApp) -> None:
    """Let the training screen take in and draw all that the scripted run has said."""
    assert app.trainer is not None
    session, screen = app.trainer.session, app._train_screen
    assert isinstance(session, ScriptedSession)
    count = sum(isinstance(event, Event) for event in session.said)
    ends = any(not isinstance(event, Event) for event in session.said)
    await until(pilot, lambda: app.crash or (screen.taken >= count and (screen._said or not ends)))
    assert app.crash is None
    await pilot.pause()
    if screen.is_current:
        screen._draw()
        await pilot.pause()


def a_run(epochs: int = 4, steps: int = 20, until: int | None = None) -> list[Event]:
    """The events of a run that learns: a fixed curve, fixed times."""
    events: list[Event] = [
        RunStarted(
            time=0.0, model="lenet", parameters=81194, device="cpu", classes=tuple("0123456789"),
            train_samples=640, val_samples=160, steps_per_epoch=steps, epochs=epochs,
        )
    ]  # fmt: skip
    for epoch in range(epochs):
        for batch in range(1, steps + 1):
            step = epoch * steps + batch
            loss = 2.3 / (1 + step / 12) * (1 + 0.25 * ((step * 7919) % 11 - 5) / 10)
            top1 = min(1.0, 1 - loss / 2.6)
            metrics = {"batch_loss": loss, "batch_top1": top1, "train_loss": loss, "train_top1": top1}
            events.append(
                Progress(
                    time=0.0, part="train", epoch=epoch, step=step, batch=batch, batches=steps, samples=32 * batch,
                    lr=0.01, metrics=metrics, seconds=0.1 * step, images_per_second=2512.0,
                    eta_seconds=0.1 * (epochs * steps - step), data_wait=0.12,
                )
            )  # fmt: skip
            if step == until:
                return events
        val = 2.3 / (1 + epoch * 1.5)
        metrics = {"train_loss": val * 0.9, "train_top1": 1 - val / 2.6, "val_loss": val, "val_top1": 1 - val / 2.5}
        metrics |= {"val_top5": 1.0, "val_f1": 1 - val / 2.5}
        events.append(
            Evaluated(
                time=0.0,
                epoch=epoch,
                step=(epoch + 1) * steps,
                lr=0.01,
                metrics=metrics,
                best=True,
                seconds=2.0 * epoch,
            )
        )
        events.append(CheckpointSaved(time=0.0, epoch=epoch + 1, step=(epoch + 1) * steps, file="step-20.pt"))
    events.append(Warned(time=0.0, topic="data", message="3/[@click=app.quit]x[/].png is left out: damaged."))
    events.append(
        RunEnded(time=0.0, outcome="finished", message="Finished 4 epochs; best val top-1 83.00% in epoch 4.",
                 epochs=epochs, step=epochs * steps, seconds=8.0)
    )  # fmt: skip
    return events
