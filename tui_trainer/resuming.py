"""Going on with a run: what must be the same, what may be changed, and where it stood."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tui_trainer.config import Config
from tui_trainer.engine import checkpoint
from tui_trainer.engine.job import Job
from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.events import Event, Warned
from tui_trainer.run_folder import RunFolder, find_run
from tui_trainer.settings import Value
from tui_trainer.text import display

# What may differ from the run that is resumed: none of it changes which samples are seen or what is learned
# from them, or (epochs, lr, patience, min_delta) changing it is what the user asks for.
MAY_CHANGE = {
    "epochs", "lr", "patience", "min_delta", "num_workers", "prefetch_factor", "persistent_workers", "timeout",
    "worker_type", "pin_memory", "device", "threads", "deterministic", "keep_checkpoints",
    "checkpoint_every", "keep_every", "output_dir", "name", "resume", "max_bad",
    "trust_code", "data", "val_data",  # the fingerprint guards them: a dataset may have moved
}  # fmt: skip


class Saved:
    """A run that is to go on, at its newest whole checkpoint."""

    def __init__(self, config: Config) -> None:
        self.folder: RunFolder = find_run(config.run.resume)
        self.news: list[Event] = []
        self.state: dict[str, Any] = checkpoint.load_newest(self.folder.checkpoints, self._warn)
        self.values: dict[str, Value] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in self.state["config"].items()
        }
        self._refuse_another_recipe(config)

    def _warn(self, text: str) -> None:
        self.news.append(Warned(topic="checkpoint", message=text))

    def _refuse_another_recipe(self, config: Config) -> None:
        changed = [
            name
            for name, value in config.values().items()
            if name not in MAY_CHANGE and name in self.values and value != self.values[name]
        ]
        if changed:
            what = ", ".join(changed)
            raise ConfigError(
                f"A run is resumed with the settings it began with: {what} cannot change. Start a new run."
            )

    def require_same_data(self, fingerprint: str) -> None:
        """Refuse another dataset.

        Raises:
            WeightsError: files, classes or the split have changed since the run began.
        """
        if self.state["fingerprint"] != fingerprint:
            raise WeightsError(
                f"The dataset is not the one that {display(self.folder.path)} began with: files or classes were "
                "added, removed or renamed. Restore them, or start a new run."
            )

    def restore(self, job: Job, given: Collection[str]) -> None:
        """Put the job where the run stood; a setting changed while it ran stays changed, unless given anew."""
        job.load_dict(self.state)
        for name, value in self.state["live"].items():
            if name not in given and getattr(job, name) == self.values[name]:
                setattr(job, name, value)
        if self.state["torch"] != job.checkpoint_extra["torch"]:
            self._warn(f"Not bit-exact: the run was saved by torch {self.state['torch']}.")
        if self.state["threads"] != job.checkpoint_extra["threads"]:
            self._warn(f"Not bit-exact: the run was saved with {self.state['threads']} CPU threads (--threads).")
