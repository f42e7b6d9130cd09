"""Whether the values of a column are images, and how it holds them. No torch here."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from typing import Any

from tui_trainer.data.manifest import MOSTLY
from tui_trainer.data.walk import EXTENSIONS

BASE64 = 64  # letters of a text that may be an image
BYTES, PATH, TEXT64 = "bytes", "path", "base64"


def kind_of(values: Sequence[Any]) -> str:
    """How most of the values hold images, if they do."""
    there = [value for value in values if value not in (None, "")]
    for kind, holds in ((BYTES, _is_bytes), (PATH, _is_path), (TEXT64, _is_base64)):
        if there and sum(map(holds, there)) >= MOSTLY * len(there):
            return kind
    return ""


def _is_bytes(value: Any) -> bool:
    return isinstance(value, bytes | memoryview | bytearray)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and os.fsencode(value.strip()).lower().endswith(EXTENSIONS)


def _is_base64(value: Any) -> bool:
    if not isinstance(value, str) or len(value) < BASE64:
        return False
    try:
        head = base64.b64decode(value[:BASE64], validate=True)
    except (binascii.Error, ValueError):
        return False
    return head.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"BM", b"II*", b"MM")) or head[4:8] == b"ftyp"
