"""Whether a file is the one that it was: a hash of its size and of blocks spread over it, quick for any size."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tui_trainer.errors import WeightsError
from tui_trainer.text import display

BLOCK, BLOCKS = 4096, 256  # a file of up to 1 MB is read whole
DIGITS = 16


def fingerprint_of(path: Path) -> str:
    """16 hex digits. A step of training changes nearly every number of a model, and so every block.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            found = hashlib.sha256(str(size).encode())
            last = max(0, size - BLOCK)
            for start in sorted({last * number // (BLOCKS - 1) for number in range(BLOCKS)}):
                file.seek(start)
                found.update(file.read(BLOCK))
    except OSError as error:
        raise WeightsError(f"{display(path)} cannot be read ({error.strerror}): try it again.") from None
    return found.hexdigest()[:DIGITS]
