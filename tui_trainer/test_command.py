"""`tui-trainer test RUN`: how good a trained model is, on the images it was validated on or on others."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from tui_trainer.results.command_line import load, parser, progress
from tui_trainer.text import display, user_path


def main(argv: Sequence[str]) -> int:
    """Print the figures; the exit code.

    Raises:
        UserError: there is no such run, or nothing to test on.
    """
    words = parser("test", (__doc__ or "").partition(": ")[2])
    words.add_argument("--data", default="", metavar="DIR", help="other data with the same classes; all of it")
    words.add_argument("--part", default="", choices=("train", "val", "test", "all"), help="[val; all of --data]")
    words.add_argument("--csv", default="", metavar="FILE", help="every prediction as a row")
    words.add_argument("--json", action="store_true", help="one JSON object")
    asked = words.parse_args(list(argv))
    from tui_trainer.results.tables import record, report
    from tui_trainer.results.tested import run_test, write_csv

    tested = run_test(load(asked), asked.data, asked.part, progress())
    if asked.csv:
        write_csv(tested, user_path(asked.csv))
    for note in (*tested.notes, *(f"{name} is left out: {reason}." for name, reason in tested.bad)):
        print(f"tui-trainer: {display(note, 300)}", file=sys.stderr)
    if asked.json:
        print(json.dumps(record(tested), allow_nan=False))
        return 0
    from tui_trainer.console import Console

    Console(highlight=False).print(report(tested))
    return 0
