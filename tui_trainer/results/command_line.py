"""What the commands over a trained model have in common on the command line."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from tui_trainer.errors import ConfigError
from tui_trainer.text import display

if TYPE_CHECKING:
    from tui_trainer.results.trained import Trained


class Parser(argparse.ArgumentParser):
    """Says what is wrong as every other error is said."""

    def error(self, message: str) -> Any:
        """Refuse.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{display(message[:1].upper() + message[1:], 300)}; see {self.prog} --help.")


def parser(name: str, description: str) -> Parser:
    """With the run, its weights and the device."""
    made = Parser(prog=f"tui-trainer {name}", description=description)
    made.add_argument("run", metavar="RUN", help="a run's folder or name, or a .safetensors file")
    made.add_argument("--weights", default="", choices=("best", "final"), help="[best, where there are any]")
    made.add_argument("--device", default="auto", metavar="NAME", help="[auto]")
    made.add_argument("--trust-code", action="store_true", help="run the Python file or module that the model is from")
    return made


def load(asked: argparse.Namespace) -> Trained:
    """The model that the words name.

    Raises:
        UserError: there is none.
    """
    from tui_trainer.results.trained import load_trained

    return load_trained(asked.run, asked.weights, asked.device, trusted=asked.trust_code)


def progress() -> Any:
    """Counts on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def tell(done: int, total: int) -> None:
        end = "\r" if done < total else "\r\033[K"
        print(f"{done:,} of {total:,}" if done < total else "", end=end, file=sys.stderr, flush=True)

    return tell
