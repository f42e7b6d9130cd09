"""A new run that begins where another one stood, with another recipe if that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tui_trainer.config import Config
from tui_trainer.data.index import Index
from tui_trainer.engine import checkpoint
from tui_trainer.engine.job import Job
from tui_trainer.engine.shards import filled
from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.events import Event, SettingChanged, Warned
from tui_trainer.run_folder import find_checkpoint
from tui_trainer.text import display

ORDER = ("batch_size", "shuffle", "drop_last", "seed")  # what decides which batches an epoch has


class Branch:
    """The state that a new run begins with.

    Raises:
        UserError: there is no such run or checkpoint.
    """

    def __init__(self, reference: str) -> None:
        self.news: list[Event] = []
        self._folder, step = find_checkpoint(reference)
        self.state: dict[str, Any] = checkpoint.load_newest(self._folder.checkpoints, self._warn, step)
        self.parent = f"{Path(self._folder.path).resolve()}@{self.state['state']['step']}"

    def _warn(self, text: str) -> None:
        self.news.append(Warned(topic="branch", message=text))

    def begin(self, job: Job, config: Config, index: Index) -> None:
        """Put a new job where the other run stood; what does not fit its new recipe begins afresh, and is told.

        Raises:
            WeightsError: the network is another one.
            ConfigError: there is nothing left to train.
        """
        saved, before = filled(self.state, job.model, job.optimizer), self.state["config"]
        if {name: tuple(t.shape) for name, t in saved["model"].items()} != {
            name: tuple(t.shape) for name, t in job.model.state_dict().items()
        }:
            raise WeightsError(
                f"The network is not that of {display(self._folder.path)}: branch with its model and classes, or start "
                f"from its weights by --pretrained {display(self._folder.path)}."
            )
        made, other_rule = job.to_dict(), before.get("optimizer") != config.recipe.optimizer
        for name in ("optimizer", "scaler", "ema"):
            fresh = made[name]
            if _form(saved.get(name)) != _form(fresh) or (name == "optimizer" and other_rule):
                self._warn(f"The state of the {name} does not fit the new recipe: it begins afresh.")
                saved[name] = fresh
        state = {**saved["state"], "best": None, "best_epoch": None, "epochs_without_better": 0, "seconds": 0.0}
        changed = [name for name in ORDER if before.get(name) != config.values()[name]]
        changed += ["data"] if saved["fingerprint"] != index.fingerprint() else []
        if state["batch"] and (changed or config.recipe.grad_accum_steps != before.get("grad_accum_steps", 1)):
            self._warn(f"Other batches than before: epoch {state['epoch'] + 1} begins anew.")
            state |= {"batch": 0, "sums": job.state.sums, "interval": job.state.interval}
        options = [{k: v for k, v in group.items() if k != "params"} for group in job.optimizer.param_groups]
        job.load_dict({**saved, "state": state})
        for group, own in zip(job.optimizer.param_groups, options, strict=True):
            group.update(own)  # its saved state brings the old weight decay and the like
        if job.state.epoch >= job.epochs:
            raise ConfigError(f"That checkpoint has {job.state.epoch} epochs already: give more by --epochs.")
        reason = f"begins after step {job.state.step} of it"
        self.news.append(SettingChanged(step=job.state.step, name="branch", value=self.parent, reason=reason))


def _form(state: dict[str, Any] | None) -> Any:
    """What must agree: sizes of an optimizer's groups, names and shapes of an average, whether there is a scaler."""
    if not state:
        return None
    if "param_groups" in state:
        return [len(group["params"]) for group in state["param_groups"]]
    return {name: tuple(getattr(value, "shape", ())) for name, value in state.items()}
