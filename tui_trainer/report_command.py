"""`tui-trainer report RUN`: one HTML page with curves, figures, confusion, worst pictures and settings."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.results.command_line import Parser, progress
from tui_trainer.run_folder import find_run
from tui_trainer.text import display, user_path


def main(argv: Sequence[str]) -> int:
    """Write the page and print where; the exit code.

    Raises:
        UserError: there is no such run, or the page cannot be written.
    """
    words = Parser(prog="tui-trainer report", description=(__doc__ or "").partition(": ")[2])
    words.add_argument("run", metavar="RUN", help="a run's folder or name")
    words.add_argument("-o", "--output", default="", metavar="FILE", help="[report.html in the run's folder]")
    words.add_argument("--data", default="", metavar="DIR", help="other data with the same classes to test on")
    words.add_argument("--trust-code", action="store_true", help="run the Python file or module that the model is from")
    asked = words.parse_args(list(argv))
    folder = find_run(asked.run)
    from tui_trainer.results.report import save_report

    path = user_path(asked.output) if asked.output else None
    print(display(save_report(folder, path, data=asked.data, trusted=asked.trust_code, tell=progress()), 4096))
    return 0
