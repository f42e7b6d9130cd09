"""How a run ended, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_trainer.metric_names import in_words, long_label

if TYPE_CHECKING:
    from tui_trainer.engine.job import Job


def ended_in_words(job: Job, outcome: str) -> str:
    """The outcome as a sentence."""
    state = job.state
    at = f"epoch {state.epoch + 1}, step {state.step}" if state.batch else f"{state.epoch} epochs"
    best = (
        f"; best {long_label(job.monitor)} {in_words(job.monitor, state.best)} in epoch {state.best_epoch + 1}"
        if state.best_epoch is not None and state.best is not None
        else ""
    )
    kept = "the last checkpoint is kept" if job.keeping.last else "no checkpoint had been saved yet"
    words = {
        "finished": f"Finished {state.epoch} {'epoch' if state.epoch == 1 else 'epochs'}{best}.",
        "early_stopped": f"Stopped early after {at}: no better {job.monitor} for {job.patience} epochs{best}.",
        "out_of_time": f"Out of time (--max-minutes) after {at}, checkpoint saved{best}.",
        "stopped": f"Stopped after {at}, checkpoint saved{best}.",
        "aborted": f"Aborted after {at}; {kept}{best}.",
    }
    return words[outcome]
