"""A weight file from the web: percent told on the way, whole or not there at all, its SHA-256 checked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from tui_trainer.errors import WeightsError
from tui_trainer.text import display
from tui_trainer.weights.limits import Cancelled, ReadingCancelledError, never

CHUNK = 1 << 18  # bytes; the wait for one is the wait for a cancel
SILENCE = 30.0  # seconds without a byte after which the connection counts as lost
MOST = 64 << 30  # bytes


def download(
    url: str, path: Path, sha256: str, tell: Callable[[str], None] = lambda text: None, cancelled: Cancelled = never
) -> None:
    """Fetch `url` into `path`; `sha256` is the start of its hash. What was fetched is gone if it fails.

    Raises:
        WeightsError: there is no connection, it breaks off, or the file is another one.
        ReadingCancelledError: `cancelled` said so.
    """
    partly = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = _fetch(url, partly, tell, cancelled)
        if not found.startswith(sha256):
            wrong = f"its SHA-256 begins with {found[:8]}, not {sha256[:8]}"
            raise WeightsError(f"{display(path.name)} arrived damaged ({wrong}): try again.")
        partly.replace(path)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise WeightsError(
            f"Cannot download {display(path.name)} ({display(reason, 80)}): "
            f"put it into {display(path.parent)}, or give a file to --pretrained."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partly.unlink(missing_ok=True)


def _fetch(url: str, path: Path, tell: Callable[[str], None], cancelled: Cancelled) -> str:
    """The SHA-256 of what was fetched."""
    request = urllib.request.Request(url, headers={"User-Agent": "tui-trainer"})
    hashed, done, told = hashlib.sha256(), 0, -1
    with urllib.request.urlopen(request, timeout=SILENCE) as answer, path.open("wb") as file:
        size = min(MOST, int(answer.headers.get("Content-Length") or 0))
        while chunk := answer.read(CHUNK):
            if cancelled():
                raise ReadingCancelledError("the download was cancelled")
            file.write(chunk)
            hashed.update(chunk)
            done += len(chunk)
            percent = 100 * done // size if size else 0
            if percent // 5 > told:  # twenty lines in a log are enough
                told = percent // 5
                share = f"{percent} % of {size / 1e6:.0f} MB" if size else f"{done / 1e6:.0f} MB"
                tell(f"downloading {_name(url)}: {share}")
    if size and done != size:
        raise ValueError(f"it broke off after {done:,} of {size:,} bytes")
    return hashed.hexdigest()


def _name(url: str) -> str:
    return display(url.rpartition("/")[2], 80)
