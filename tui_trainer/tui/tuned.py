"""What the Loader screen shows of a search for speed, and what its key takes over. Plain: no Textual."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.config import SETTINGS, Config
from tui_trainer.loader_facts import WORKERS_ONLY, Measurement, candidates
from tui_trainer.settings import Value
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.widgets.rate_bars import Bar
from tui_trainer.tune_facts import Advice, Found, Trial, spread_of

WHERE = {"recipe": "Recipe screen, group speed"}  # of what is not on the Loader screen
VARIED = ("num_workers", "worker_type", "timeout")  # by the search, or without effect on it


class Tuned:
    """One search: its figures as they come, and its advice when it is complete."""

    def __init__(self, config: Config) -> None:
        self.config, self.complete, self.stopped = config, False, False
        self._measured: dict[int, Measurement] = {}
        self._found = Found()

    def add(self, item: Measurement | Trial) -> None:
        """Take in a figure."""
        self._found.add(item)
        if isinstance(item, Measurement):
            self._measured[item.num_workers] = item

    def end(self, *, complete: bool, stopped: bool) -> None:
        """Forget what was not finished; `stopped`: by who looks at it, not by an error."""
        self._measured = {count: m for count, m in self._measured.items() if m.final}
        self.complete, self.stopped = complete, stopped

    @property
    def advice(self) -> Advice | None:
        """What to set."""
        return self._found.advice(self.config.loader.batch_size) if self.complete else None

    def open_values(self, draft: Draft) -> dict[str, Value]:
        """What of the advice differs from the draft."""
        advice = self.advice
        if advice is None:
            return {}
        return {name: value for name, value in advice.settings.items() if draft.values[name] != value}

    def bars(self) -> dict[str, list[Bar]]:
        """Steps alone, the loader with each number of workers, and whole training with the best of both in turns."""
        return {
            "computing": self._bars(self._found.steps),
            "rates": self._loading(),
            "together": self._bars(self._found.together),
        }

    def _loading(self) -> list[Bar]:
        best = self.advice
        return [
            Bar(
                label=str(m.num_workers),
                outer=m.images_per_second,
                inner=m.trained_per_second,
                note="skipped" if m.skipped else f"{m.wait_share:.0%}" if m.trained_per_second else "...",
                chosen=best is not None and best.settings.get("num_workers") == m.num_workers,
            )
            for m in self._measured.values()
        ]

    def _bars(self, trials: Sequence[Trial]) -> list[Bar]:
        best = self.advice
        return [
            Bar(
                label=_label(trial),
                outer=trial.per_second,
                inner=trial.per_second,
                note=spread_of(trial),
                chosen=best is not None and best.is_of(trial),
            )
            for trial in trials
            if trial.rates
        ]

    def words(self) -> list[str]:
        """What is advised and why, and what was left out; of a search that was stopped, how far it came."""
        skipped = [m.skipped for m in self._measured.values()] + [trial.skipped for trial in self._found.steps]
        if (advice := self.advice) is None:
            return [text for text in dict.fromkeys([self._how_far(), *skipped]) if text]
        told = [
            f"{name} = {SETTINGS[name].to_text(advice.settings[name])}: {reason}"
            for name, reason in advice.reasons.items()
            if reason
        ]
        return [text for text in dict.fromkeys([*told, *advice.remarks, *skipped]) if text]

    def _how_far(self) -> str:
        done, of_all = len(self._measured), len(candidates())
        counts = f"{done} of {of_all} numbers of workers measured"
        return f"Stopped before the end, {counts}; m starts again." if self.stopped else ""

    def take(self, draft: Draft) -> str:
        """Set what is advised; what was set, in words. What needs workers goes when there are none."""
        values = self.open_values(draft)
        for name, value in values.items():
            draft.set(name, value)
        for name in WORKERS_ONLY if draft.values["num_workers"] == 0 else ():
            draft.reset(name)
        told = [_in_words(name, value) for name, value in values.items()]
        return f"Set: {', '.join(told)}."


def _label(trial: Trial) -> str:
    workers = "" if trial.num_workers is None else f"{trial.num_workers}+"
    kind = " proc" if trial.worker_type == "process" else ""
    return f"{workers}{trial.threads} {trial.precision}{kind}"


def _in_words(name: str, value: Value) -> str:
    where = WHERE.get(SETTINGS[name].table, "")
    return f"{name} = {SETTINGS[name].to_text(value)}" + (f" ({where})" if where else "")


def of(config: Config, *tables: str) -> tuple[Value, ...]:
    """All values of some tables."""
    values = config.values()
    return tuple(values[name] for name, item in SETTINGS.items() if item.table in tables)


def measured_for(config: Config) -> tuple[Value, ...]:
    """What the figures depend on, but for what the search itself varies."""
    values = config.values()
    tables = ("data", "loader", "model")
    names = [name for name, item in SETTINGS.items() if item.table in tables and name not in VARIED]
    return tuple(values[name] for name in (*names, "device", "optimizer"))
