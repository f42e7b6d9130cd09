"""The one sanitiser for text that comes from outside: file, class and tensor names, error texts.

A terminal obeys escape sequences wherever they stand, also in a file name, and bidirectional
controls make one name look like another. What is shown to a person passes through `display`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

# C0, DEL and C1 controls, bidirectional controls, line and paragraph separators, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def display(name: object, limit: int = 200) -> str:
    """`name` with everything that a terminal would obey made visible, cut to `limit` characters.

    Paths and bytes are decoded as the file system does. The result holds no control
    character, so that it can be written to a terminal or a one-line message as it is.
    """
    raw = os.fsdecode(name) if isinstance(name, bytes | os.PathLike) else str(name)
    shown = _UNSAFE.sub(_visible, raw[: limit * 4])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def letter_for_letter(text: str) -> str:
    """`text` with one visible character for each that a terminal would obey: what is being typed keeps its places."""
    return _UNSAFE.sub(lambda match: chr(0x2400 + ord(match[0])) if match[0] < " " else "\ufffd", text)


def in_utf8(name: str) -> str:
    """A name for files that hold UTF-8 only: its bytes that are none become visible."""
    return name if name.isascii() or not re.search("[\ud800-\udfff]", name) else display(name, 4 * len(name))


def duration(seconds: float) -> str:
    """Seconds as a person says them: 0.4 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if not math.isfinite(seconds):
        return "?"
    if 0 < seconds < 0.95:
        return f"{max(seconds, 0.1):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def bad_in_words(counts: Sequence[int]) -> str:
    """Behind counts of images: how many of each cannot be read, as far as that is known; empty where all can be."""
    if not any(counts):
        return ""
    *first, last = (f"{count:,}" for count in counts)
    return f" ({', '.join(first)} and {last} cannot be read)" if first else f" ({last} cannot be read)"


def user_path(typed: str) -> Path:
    """What a person means by a path: `~` is the home folder; one of an unknown user stays as it is."""
    return Path(os.path.expanduser(typed)).absolute()  # noqa: PTH111 - pathlib raises for an unknown user
