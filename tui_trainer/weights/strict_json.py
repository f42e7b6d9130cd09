"""JSON from a file that nobody vouches for: no duplicate keys, no NaN, no endless digits or nesting."""

from __future__ import annotations

import json

from tui_trainer.weights.limits import UnreadableError

_MAX_DIGITS = 20


def _number(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("too many digits")
    return int(digits)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("one key twice")
    return result


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def parsed(data: bytes) -> dict[str, object]:
    """The JSON object in `data`.

    Raises:
        UnreadableError: it is no JSON object, or one that asks for trouble.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_int=_number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise UnreadableError("its JSON header is damaged") from None
    if not isinstance(value, dict):
        raise UnreadableError("its JSON header is no object")
    return value
