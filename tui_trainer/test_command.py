"""`tui-trainer test RUN`: how good a trained model is, on the images it was validated on or on others."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from tui_trainer.errors import ConfigError
from tui_trainer.text import display, user_path


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """Say it as every other error is said.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{display(message[:1].upper() + message[1:], 300)}; see tui-trainer test --help.")


def main(argv: Sequence[str]) -> int:
    """Print the figures; the exit code.

    Raises:
        UserError: there is no such run, or nothing to test on.
    """
    parser = _Parser(prog="tui-trainer test", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("run", metavar="RUN", help="a run's folder or name, or a .safetensors file")
    parser.add_argument("--data", default="", metavar="DIR", help="other data with the same classes; all of it")
    parser.add_argument("--part", default="", choices=("train", "val", "test", "all"), help="[val; all of --data]")
    parser.add_argument("--weights", default="", choices=("best", "final"), help="[best, where there are any]")
    parser.add_argument("--device", default="auto", metavar="NAME", help="[auto]")
    parser.add_argument("--csv", default="", metavar="FILE", help="every prediction as a row")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    asked = parser.parse_args(list(argv))
    from tui_trainer.results.tables import record, report
    from tui_trainer.results.tested import run_test, write_csv
    from tui_trainer.results.trained import load_trained

    trained = load_trained(asked.run, asked.weights, asked.device)
    tested = run_test(trained, asked.data, asked.part, _progress())
    if asked.csv:
        write_csv(tested, user_path(asked.csv))
    for note in (*tested.notes, *(f"{name} is left out: {reason}." for name, reason in tested.bad)):
        print(f"tui-trainer: {display(note, 300)}", file=sys.stderr)
    if asked.json:
        print(json.dumps(record(tested), allow_nan=False))
        return 0
    from rich.console import Console

    Console(highlight=False).print(report(tested))
    return 0


def _progress() -> Any:
    """Counts on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def tell(done: int, total: int) -> None:
        end = "\r" if done < total else "\r\033[K"
        print(f"{done:,} of {total:,}" if done < total else "", end=end, file=sys.stderr, flush=True)

    return tell
