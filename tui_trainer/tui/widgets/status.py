"""A run in two lines, and its result in words. Takes plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from tui_trainer.metric_names import headline, in_words, label
from tui_trainer.run_state import RunState
from tui_trainer.text import display, duration
from tui_trainer.tui.widgets.lines import Lines, Row

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


class RunStatus(Lines):
    """Progress of epoch and run, and the numbers beside it."""

    def show_run(self, state: RunState, usage: Sequence[str]) -> None:
        """Draw it; `usage` says what of the machine is in use."""
        self.show([_progress(state, self.size.width), _numbers(state, usage, self.size.width)])


def _progress(state: RunState, room: int) -> Row:
    number = f"{min(state.epoch + 1, state.epochs)}/{state.epochs}" if state.epochs else "-"
    batches, left = f" {state.batches_in_words}", state.left_in_words
    words = (f" epoch {number} ", batches, "   run ", f" {state.run_done:4.0%}  {left}")
    width = max(0, (room - 1 - sum(map(len, words))) // 2)
    return [
        (words[0], "bold"),
        *_bar(state.epoch_done, width),
        (words[1], "$foreground-muted"),
        (words[2], ""),
        *_bar(state.run_done, width),
        (words[3], ""),
    ]


def _numbers(state: RunState, usage: Sequence[str], room: int) -> Row:
    """The most important first; what does not fit is left out as a whole."""
    lr = f"{state.lr:.3g}" if math.isfinite(state.lr) else "-"
    best = [(f"best {_best(state)}", "$text-success")] if state.best else []
    wait = "$text-warning" if state.data_wait > 0.5 else "$foreground-muted"
    words = [
        (f"lr {lr}", ""),
        (f"{state.images_per_second:,.0f} {state.unit}/s", ""),
        *best,
        (f"data wait {state.data_wait:.0%}", wait),
        *((word, "$foreground-muted") for word in usage),
    ]
    used, shown = 1, [(" ", "")]
    for text, style in words:
        used += len(text) + 2
        if used - 2 <= room:
            shown.append((f"{text}  ", style))
    return shown


def _bar(part: float, width: int) -> tuple[tuple[str, str], tuple[str, str]]:
    full = round(part * width)
    return (FULL * full, "$accent"), (EMPTY * (width - full), "$foreground-muted")


def _best(state: RunState) -> str:
    assert state.best is not None
    name = headline(state.best.metrics)
    return f"{in_words(name, state.best.metrics.get(f'val_{name}', math.nan))} (epoch {state.best.epoch + 1})"


def result_text(state: RunState, folder: str, width: int) -> Content:
    """The end of a run: what happened, where everything lies, what one can do now."""
    style = STYLES.get(state.outcome, "$foreground")
    parts: list[tuple[str, str] | str] = [(f"{display(state.message, 400)}\n", f"bold {style}")]
    if shown := {k.removeprefix("val_"): v for k, v in state.metrics.items() if k.startswith("val_")}:
        words = [f"{label(name)} {in_words(name, value)}" for name, value in shown.items()]
        parts.append(("val " + "  ".join(words) + f"  {duration(state.seconds)}\n", "$foreground"))
    if folder:
        place = display(folder, 300)  # its end tells two runs apart
        parts.append((f"{place if len(place) <= width else '…' + place[1 - width :]}\n", "$foreground-muted"))
    if state.left_out and folder:
        count = len(state.left_out)
        files = "1 file that cannot be read was" if count == 1 else f"{count:,} files that cannot be read were"
        parts.append((f"{files} left out: bad_files.csv\n", "$text-warning"))
    resume = "r resumes   " if state.outcome in ("stopped", "aborted", "failed") and folder and state.saved else ""
    if folder and state.saved:
        parts.append(("T test   C confusion matrix   t try an image   x export\n", "$text-accent"))
    parts.append((f"{resume}ctrl+r trains again   n new run   4 recipe   0 all runs   l log", "$text-accent"))
    return Content.assemble(*parts)
