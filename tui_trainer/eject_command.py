"""`tui-trainer eject RUN`: one plain PyTorch script that repeats a run without this program."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.results.command_line import Parser
from tui_trainer.run_folder import find_run
from tui_trainer.text import display, user_path


def main(argv: Sequence[str]) -> int:
    """Write it and print where; the exit code.

    Raises:
        UserError: there is no such run, it has no plain script, or it cannot be written.
    """
    words = Parser(prog="tui-trainer eject", description=(__doc__ or "").partition(": ")[2])
    words.add_argument("run", metavar="RUN", help="a run's folder or name")
    words.add_argument("-o", "--output", default="", metavar="DIR", help="[ejected in the run's folder]")
    asked = words.parse_args(list(argv))
    folder = find_run(asked.run)
    from tui_trainer.results.eject import write_script

    path = write_script(folder, user_path(asked.output) if asked.output else folder.path / "ejected")
    print(display(path, 4096))
    return 0
