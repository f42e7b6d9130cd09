"""What a setting is: its type, default, bounds, unit and one line of help, and how text becomes its value.

`config.py` declares the settings with `setting()`; the command line, the TOML file, the form
fields and the reference in the README are all made from the `Setting` objects it collects.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from dataclasses import dataclass
from typing import Any

from tui_trainer.errors import ConfigError
from tui_trainer.text import display

MOST = 2**53  # beyond it whole numbers are no longer exact as float
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # what UTF-8, and with it config.toml, or a path cannot hold

TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
AUTO = "auto"  # how `None`, "choose for me", is written in a flag, a file and a form

Value = bool | int | float | str | tuple[str, ...] | tuple[float, ...] | tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting. `kind` is bool, int, float, str, or tuple with `item` str, float or int."""

    name: str
    table: str
    kind: type
    item: type = str
    optional: bool
    default: Value
    help: str
    unit: str
    choices: tuple[str | int, ...]
    open_ended: bool  # whether the choices are the usual ones only
    ge: float | None
    gt: float | None
    le: float | None
    lt: float | None
    short: str
    aliases: tuple[str, ...]
    metavar: str

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def bounds(self) -> str:
        """Its bounds in words, empty if it has none."""
        low = f"at least {self.ge:,.10g}" if self.ge is not None else ""
        low = f"greater than {self.gt:,.10g}" if self.gt is not None else low
        high = f"at most {self.le:,.10g}" if self.le is not None else ""
        high = f"less than {self.lt:,.10g}" if self.lt is not None else high
        return " and ".join(part for part in (low, high) if part)

    @property
    def expected(self) -> str:
        """What it takes, in words."""
        if self.choices:
            words = [str(choice) for choice in self.choices] + [AUTO] * self.optional
            return f"{'any name, such as' if self.open_ended else 'one of'} {', '.join(words)}"
        noun = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(
            self.kind, f"a list of { {float: 'numbers', int: 'whole numbers'}.get(self.item, 'texts') }"
        )
        bounded = f"{noun}, {self.bounds}" if self.bounds else noun
        return f'{bounded}, or "{AUTO}"' if self.optional else bounded

    def from_text(self, text: str, where: str) -> Value:
        """The value that `text`, from a flag or a form field, stands for.

        Raises:
            ConfigError: it is of the wrong type or out of bounds.
        """
        text = text.strip() if self.kind is not str else text
        if self.optional and text.lower() == AUTO:
            return None
        try:
            return self.check(self._parse(text), where)
        except ValueError:
            raise self._refused(text, where) from None

    def _parse(self, text: str) -> object:
        if self.kind is bool:
            return TRUTH.get(text.lower(), text)
        if self.kind is tuple:
            return [self.item(part.strip()) for part in text.split(",") if part.strip()]
        if self.kind is int:
            return int(text, 10)
        return self.kind(text)

    def check(self, value: object, where: str) -> Value:
        """`value` as this setting keeps it.

        Raises:
            ConfigError: it is of the wrong type or out of bounds.
        """
        if self.optional and (value is None or value == AUTO):
            return None
        if type(value) is int and abs(value) > MOST:
            raise self._refused(value, where)
        if self.kind is float and type(value) is int:
            value = float(value)
        if self.kind is tuple and isinstance(value, list | tuple):
            value = tuple(float(v) if self.item is float and type(v) is int else v for v in value)
            if any(type(v) is not self.item for v in value):
                raise self._refused(value, where)
        if type(value) is not self.kind:
            raise self._refused(value, where)
        kept = typing.cast("Value", value)
        if not self._within(kept):
            raise self._refused(value, where)
        return kept

    def _within(self, value: Value) -> bool:
        if self.choices and not self.open_ended and value not in self.choices:
            return False
        if isinstance(value, tuple):
            return all(self._item_within(v) for v in value)
        if isinstance(value, str):
            return not _UNWRITABLE.search(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return (
            math.isfinite(value)
            and (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )

    def _item_within(self, item: str | float) -> bool:
        if isinstance(item, str):
            return not _UNWRITABLE.search(item)
        low, high = -math.inf if self.ge is None else self.ge, math.inf if self.le is None else self.le
        return math.isfinite(item) and low <= item <= high

    def _refused(self, value: object, where: str) -> ConfigError:
        shown = ", ".join(str(v) for v in value) if isinstance(value, tuple) else value
        unit = f" ({self.unit})" if self.unit else ""
        said = f"{where} = {display(shown, 80)}: {self.name} must be {self.expected}{unit}"
        near = difflib.get_close_matches(str(shown).lower(), map(str, self.choices), n=2)
        return ConfigError(f"{said}; did you mean {' or '.join(near)}?" if near else f"{said}.")

    def to_text(self, value: Value) -> str:
        """`value` as `from_text` reads it."""
        if value is None:
            return AUTO
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, tuple):
            return ",".join(_shortest(v) if isinstance(v, float) else str(v) for v in value)
        return _shortest(value) if isinstance(value, float) else str(value)


def _shortest(value: float) -> str:
    """0.001 and 1, not 1e-03 and 1.0, where that is the same number."""
    return f"{value:g}" if float(f"{value:g}") == value else str(value)


def setting(
    default: Value,
    help: str,  # noqa: A002 - the name the field has everywhere
    *,
    unit: str = "",
    choices: tuple[str | int, ...] = (),
    open_ended: bool = False,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    short: str = "",
    aliases: tuple[str, ...] = (),
    metavar: str = "",
) -> Any:
    """A dataclass field that is a setting; bounds as in annotated-types (ge, gt, le, lt)."""
    metadata = {
        "help": help,
        "unit": unit,
        "choices": choices,
        "open_ended": open_ended,
        "ge": ge,
        "gt": gt,
        "le": le,
        "lt": lt,
        "short": short,
        "aliases": aliases,
        "metavar": metavar,
    }
    return dataclasses.field(default=default, metadata=metadata)


def settings_of(table: str, cls: type) -> list[Setting]:
    """The settings that the dataclass `cls` declares, in its order."""
    hints = typing.get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        kind, optional = _without_none(hints[field.name])
        item: Any = (typing.get_args(kind) or (str,))[0]
        found.append(
            Setting(
                name=field.name,
                table=table,
                kind=typing.get_origin(kind) or kind,
                item=item,
                optional=optional,
                default=typing.cast("Value", field.default),
                **field.metadata,
            )
        )
    return found


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) is not types.UnionType:
        return hint, False
    (kind,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
    return kind, True
