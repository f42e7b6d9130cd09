"""`tui-trainer attach RUN`: the training screen over a run of another process, or of the past."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.config import resolve
from tui_trainer.errors import ConfigError
from tui_trainer.run_folder import find_run
from tui_trainer.tui.terminal import is_interactive

USAGE = "Usage: tui-trainer attach RUN, its folder or its name."


def main(argv: Sequence[str]) -> int:
    """Show it; the exit code. Leaving does not end the run.

    Raises:
        ConfigError: there is no such run, or no terminal to show it on.
    """
    if argv in (["-h"], ["--help"]):
        print(f"{USAGE}\n\n{__doc__}")
        return 0
    if len(argv) != 1:
        raise ConfigError(USAGE)
    folder = find_run(argv[0])
    if not is_interactive():
        raise ConfigError("attach needs a terminal; without one, read events.jsonl in the run's folder.")
    from tui_trainer.tui.launch import launch

    return launch(resolve({}, folder.config if folder.config.exists() else None), follow=folder)
