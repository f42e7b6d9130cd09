"""The look at a dataset before a run: bounded in work and in time, and kept while the files stay as they are."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tui_trainer.data.bad_files import require_few
from tui_trainer.data.examine import Limits, examine
from tui_trainer.data.index import Index
from tui_trainer.data.report import Copies, Report
from tui_trainer.data.scan_cache import cache_folder
from tui_trainer.whole_file import write_whole

LOOK = Limits(headers=5_000, compared=50_000, hashed_bytes=256 << 20, decoded=500, decoded_pixels=50_000_000)
SECONDS = 5.0  # on a slow disk no longer than this
WORTH_KEEPING = 0.3  # seconds; what took less is done again
COMPARED = 20_000  # files whose size and time say whether they are as they were
_KEPT = ("looked_at", "compared", "decoded", "undecodable", "bad_in_part")


def look_before(
    index: Index, max_bad: float, tell: Callable[[str], None], cancelled: Callable[[], bool]
) -> Report | None:
    """What is known of the files before a run.

    Raises:
        TooManyBadError: more of them cannot be read than the settings allow.
    """
    tell("looking for files that cannot be read")
    looked = preflight(index, cancelled)
    if looked:
        require_few(looked, max_bad)
    return looked


def preflight(index: Index, cancelled: Callable[[], bool] = lambda: False) -> Report | None:
    """What is known of a dataset of image files before a run; None of any other."""
    if index.inputs is not None or not len(index):
        return None
    entry = _entry(index)
    known = _known(entry, index)
    if known is not None:
        return known
    began, last = time.monotonic(), None
    with closing(examine(index, LOOK)) as reports:
        for report in reports:
            last = report
            if cancelled() or time.monotonic() - began > SECONDS:
                break
    if not isinstance(last, Report):
        return None
    if not last.stage and time.monotonic() - began > WORTH_KEEPING:
        remember(index, last)
    return last


def remember(index: Index, report: Report) -> None:
    """Keep what was found, for the next run on the same files."""
    if index.inputs is not None or report.stage:
        return
    told: dict[str, Any] = {name: getattr(report, name) for name in _KEPT}
    told["bad"] = [(os.fsdecode(name), reason) for name, reason in report.bad]
    told["copies"] = [
        ([os.fsdecode(name) for name in one.names], one.across_parts, one.across_classes) for one in report.copies
    ]
    with suppress(OSError):  # a full disk, or a home without a cache, costs time only
        cache_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(_entry(index), json.dumps(told).encode("ascii"))


def _entry(index: Index) -> Path:
    """The file for this index with the files as they are now."""
    digest = hashlib.blake2b(index.fingerprint().encode() + os.fsencode(index.root), digest_size=12)
    digest.update(f"{index.max_megapixels} ".encode())
    for i in np.linspace(0, len(index) - 1, min(len(index), COMPARED)).astype(np.int64).tolist():
        try:
            status = os.stat(index.path(i))
            digest.update(f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns};".encode())
        except OSError:
            digest.update(b"gone;")
    return cache_folder() / f"{digest.hexdigest()}.look"


def _known(entry: Path, index: Index) -> Report | None:
    try:
        told = json.loads(entry.read_bytes())
        os.utime(entry)
        train, val, test = told["bad_in_part"]
        return Report(
            root=index.root,
            classes=index.classes,
            counts=(),
            images=len(index),
            task=index.task,
            bad=tuple((os.fsencode(name), str(reason)) for name, reason in told["bad"]),
            copies=tuple(
                Copies(names=tuple(map(os.fsencode, names)), across_parts=bool(parts), across_classes=bool(classes))
                for names, parts, classes in told["copies"]
            ),
            looked_at=int(told["looked_at"]),
            compared=int(told["compared"]),
            bad_in_part=(int(train), int(val), int(test)),
            decoded=int(told["decoded"]),
            undecodable=int(told["undecodable"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
