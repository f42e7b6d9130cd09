"""`tui-trainer send RUN COMMAND`: steer a run of any other process."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tui_trainer import commands
from tui_trainer.commands import Command
from tui_trainer.errors import ConfigError
from tui_trainer.run_folder import find_run
from tui_trainer.run_lock import is_running
from tui_trainer.session import set_from_text
from tui_trainer.text import display


def main(argv: Sequence[str]) -> int:
    """Append the command to the run's file; the exit code.

    Raises:
        ConfigError: the command is not understood, or the run is not going on.
    """
    kinds = ", ".join(kind for kind in commands.KINDS if kind != "set")
    usage = f"Usage: tui-trainer send RUN COMMAND, COMMAND one of {kinds}, set NAME=VALUE."
    if argv in (["-h"], ["--help"]):
        print(f"{usage}\n\n{__doc__}")
        return 0
    if len(argv) < 2:
        raise ConfigError(usage)
    run, kind, *rest = argv
    if kind == "set" and rest:
        command: Command = set_from_text(" ".join(rest))
    elif kind in commands.KINDS and kind != "set" and not rest:
        command = commands.KINDS[kind]()
    else:
        raise ConfigError(usage)
    folder = find_run(run)
    if not is_running(folder):
        raise ConfigError(f"{display(folder.path)} is not running: nothing would answer; --resume goes on with it.")
    folder.send(command)
    print(f"{display(' '.join([kind, *rest]))} is sent to {display(folder.path.name)}.", file=sys.stderr)
    return 0
