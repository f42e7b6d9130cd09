"""`tui-trainer runs`: what was trained on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tui_trainer.errors import ConfigError
from tui_trainer.past_runs import PastRun, past_runs, read_run
from tui_trainer.run_folder import find_run
from tui_trainer.text import display

USAGE = "Usage: tui-trainer runs [list|show RUN] [--json]."


def main(argv: Sequence[str]) -> int:
    """Print a table of the runs, or what is known of one; the exit code.

    Raises:
        ConfigError: the words are not understood, or there is no such run.
    """
    if argv in (["-h"], ["--help"]):
        print(f"{USAGE}\n\n{__doc__}")
        return 0
    words = [word for word in argv if word != "--json"]
    as_json = "--json" in argv
    if words[:1] == ["show"] and len(words) == 2:
        run = read_run(find_run(words[1]))
        print(json.dumps(_record(run), indent=None if as_json else 1))
        return 0
    if words not in ([], ["list"]):
        raise ConfigError(USAGE)
    runs = past_runs()
    print(json.dumps([_record(run) for run in runs])) if as_json else _print(runs)
    return 0


def _record(run: PastRun) -> dict[str, Any]:
    return {
        "run": str(run.folder.path),
        "state": run.state,
        "epochs": run.epochs,
        "best": run.best,
        "metric": run.metric,
        "changed": run.changed,
        "settings": {name: list(v) if isinstance(v, tuple) else v for name, v in run.settings.items()},
    }


def _print(runs: list[PastRun]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "state", "best", "epochs", "model", "data", box=None, pad_edge=False)
    for run in runs:
        settings = (run.settings.get("model", ""), run.settings.get("data", ""))
        cells = (run.name, run.state, run.best_in_words, run.epochs, *settings)
        table.add_row(*(Text(display(cell, 80)) for cell in cells))
    Console(soft_wrap=True).print(table)
