"""A run in two lines, and its result in words. Takes plain values."""

from __future__ import annotations

import math

from textual.content import Content
from textual.widgets import Static

from tui_trainer.metric_names import RATES, headline, in_words
from tui_trainer.run_state import RunState
from tui_trainer.text import display, duration

FULL, EMPTY = "━", "─"
STYLES = {
    "paused": "$text-warning",
    "failed": "$text-error",
    "aborted": "$text-error",
    "finished": "$text-success",
    "early_stopped": "$text-success",
    "stopped": "$text-success",
}


def state_in_words(state: RunState, asked: str = "") -> tuple[str, str]:
    """What the run does, and the style for it; what was asked for shows until it is confirmed."""
    words = asked if asked and not state.ended else state.phase.replace("_", " ")
    return words, STYLES.get(state.phase, "$text-accent")


class RunStatus(Static):
    """Progress of epoch and run, and the numbers beside it."""

    def show(self, state: RunState, megabytes: float, cpu: float) -> None:
        """Draw it."""
        self.update(self._text(state, megabytes, cpu), layout=False)

    def _text(self, state: RunState, megabytes: float, cpu: float) -> Content:
        width = max(6, (self.size.width - 58) // 2)
        number = f"{min(state.epoch + 1, state.epochs)}/{state.epochs}" if state.epochs else "-"
        left = f"{duration(state.eta_seconds)} left" if state.eta_seconds else duration(state.seconds)
        lr = f"{state.lr:.3g}" if math.isfinite(state.lr) else "-"
        best = f"  best {_best(state)}" if state.best else ""
        return Content.assemble(
            (f" epoch {number} ", "bold"),
            *_bar(state.epoch_done, width),
            (f" {state.batch}/{state.batches}", "$foreground-muted"),
            "   run ",
            *_bar(state.run_done, width),
            f" {state.run_done:4.0%}  {left}\n",
            (f" lr {lr}  {state.images_per_second:,.0f} {state.unit}/s  ", "$foreground"),
            (f"data wait {state.data_wait:.0%}  ", "$text-warning" if state.data_wait > 0.5 else "$foreground-muted"),
            (f"memory {megabytes:,.0f} MB  cpu {cpu:.0%}", "$foreground-muted"),
            (best, "$text-success"),
        )


def _bar(part: float, width: int) -> tuple[tuple[str, str], tuple[str, str]]:
    full = round(part * width)
    return (FULL * full, "$accent"), (EMPTY * (width - full), "$foreground-disabled")


def _best(state: RunState) -> str:
    assert state.best is not None
    name = headline(state.best.metrics)
    return f"{in_words(name, state.best.metrics.get(f'val_{name}', math.nan))} (epoch {state.best.epoch + 1})"


def result_text(state: RunState, folder: str, width: int) -> Content:
    """The end of a run: what happened, where everything lies, what one can do now."""
    style = STYLES.get(state.outcome, "$foreground")
    parts: list[tuple[str, str] | str] = [(f"{display(state.message, 400)}\n", f"bold {style}")]
    if state.metrics:
        shown = {k.removeprefix("val_"): v for k, v in state.metrics.items() if k.startswith("val_")}
        words = [f"{k} {v:.1%}" if k in RATES else f"{k} {v:.4f}" for k, v in shown.items()]
        parts.append(("val " + "  ".join(words) + f"  {duration(state.seconds)}\n", "$foreground"))
    if folder:
        place = display(folder, 300)  # its end tells two runs apart
        parts.append((f"{place if len(place) <= width else '…' + place[1 - width :]}\n", "$foreground-muted"))
    resume = "r resumes   " if state.outcome in ("stopped", "aborted", "failed") and folder else ""
    if folder:
        parts.append(("T test   C confusion matrix   t try an image   x export\n", "$text-accent"))
    parts.append((f"{resume}ctrl+r trains again   n new run   4 recipe   0 all runs   l log", "$text-accent"))
    return Content.assemble(*parts)
