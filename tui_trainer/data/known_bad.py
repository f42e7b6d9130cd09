"""What was found bad is not decoded again: in each epoch libjpeg would print past the program what is wrong with it.

By content, size of decoding and limits, of which the verdict is a function: a file that is mended in between is another
one, and every process comes to the same as one that knows nothing.
"""

from __future__ import annotations

import hashlib

from tui_trainer.data.header import BadImageError

MOST = 10_000  # verdicts that are kept

How = tuple[float, ...]  # all that decides how bytes are decoded
_reasons: dict[tuple[bytes, How], str] = {}
_lengths = set[int]()  # of the files among them, so that hardly another one is hashed


def require_unknown(data: bytes, how: How) -> None:
    """Let pass what is not known to be bad.

    Raises:
        BadImageError: it is, for the reason given before.
    """
    if len(data) in _lengths:
        reason = _reasons.get((_digest(data), how))
        if reason is not None:
            raise BadImageError(reason)


def add(data: bytes, how: How, reason: str) -> None:
    """Remember it, if there is room."""
    if len(_reasons) < MOST:
        _reasons[_digest(data), how] = reason
        _lengths.add(len(data))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
