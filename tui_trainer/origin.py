"""Errors of a path that a TOML file has given name that file: relative paths count from the current folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tui_trainer.config import Resolved
from tui_trainer.errors import UserError
from tui_trainer.text import display, user_path

PATHS = ("data", "val_data", "targets", "data_root", "pretrained")


@contextlib.contextmanager
def naming_file(resolved: Resolved) -> Iterator[None]:
    """What is refused inside says from which file its path came."""
    try:
        yield
    except UserError as error:
        error.args = (_named(str(error), resolved), *error.args[1:])
        raise


def _named(sentence: str, resolved: Resolved) -> str:
    file, values = resolved.file, resolved.config.values()
    if file is None:
        return sentence
    for name in PATHS:
        given = str(values[name])
        if not given or resolved.origins[name] != display(file.name):
            continue
        for shown in (display(given), display(user_path(given))):
            if shown in sentence:
                said = "" if sentence.startswith(display(given)) else f" = {display(given)}"
                return f"{display(file)}: {name}{said}: {sentence}"
    return sentence
