"""NAME=VALUE as keyword arguments of a dataset."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from tui_trainer.errors import ConfigError
from tui_trainer.text import display

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def arguments(texts: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments; a value is what TOML reads it as, else text.

    Raises:
        ConfigError: one has no name.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError(f"data_args = {display(text, 60)}: write NAME=VALUE, as in size=64.")
        try:
            found[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            found[name.strip()] = value.strip()
    return found
