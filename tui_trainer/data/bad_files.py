"""The files that a run leaves out: told once each, listed in the run's folder, and too many of them end it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tui_trainer.data.report import Report
from tui_trainer.errors import TooManyBadError
from tui_trainer.events import LEFT_OUT
from tui_trainer.text import display

MIN_SEEN = 20  # images read before the share of bad ones can stop a run
BadFile = tuple[bytes, str]  # name relative to the dataset's root, reason


@dataclass
class BadFiles:
    """The files that could not be read so far; `max_bad` is the part of `total` that may be bad."""

    max_bad: float
    total: int
    names: set[bytes] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)  # what else the loaders of all parts told
    _list: Path | None = None
    _listed: set[bytes] = field(default_factory=set)

    def tell(self, bad: Iterable[BadFile]) -> tuple[str, ...]:
        """A sentence for each new one.

        Raises:
            TooManyBadError: more than the allowed part of all images is bad.
        """
        new = [(name, reason) for name, reason in bad if name not in self.names]
        self.names.update(name for name, _ in new)
        if self._list is not None and new:
            with suppress(OSError):  # of a full disk the recorders tell
                add_to_list(self._list, new, self._listed)
        if new:
            self._require_few(display(new[-1][0]), new[-1][1])
        return tuple(f"{display(name)}{LEFT_OUT}{reason}." for name, reason in new)

    def hear(self, told: str) -> None:
        """Another rank told of a file, which it lists.

        Raises:
            TooManyBadError: it is one too many.
        """
        name, left_out, reason = told.partition(LEFT_OUT)
        if left_out and name.encode() not in self.names:
            self.names.add(name.encode())
            self._require_few(name, reason.rstrip("."))

    def _require_few(self, name: str, reason: str) -> None:
        if len(self.names) > self.max_bad * max(self.total, MIN_SEEN):
            raise TooManyBadError(
                f"{len(self.names)} of {self.total} images cannot be read, the last {name} "
                f"({reason}): more than --max-bad {self.max_bad:g} allows."
            )

    def keep_in(self, path: Path, known: Sequence[BadFile] = ()) -> None:
        """From now on list them there, and what is known already.

        Raises:
            OSError: the disk is full, or not to be written.
        """
        self._list, self._listed = path, {name for name, _ in read_list(path)}
        if known:
            add_to_list(path, known, self._listed)


def add_to_list(path: Path, bad: Iterable[BadFile], listed: set[bytes]) -> None:
    """Append to `bad_files.csv` what is not `listed` yet; names that are not UTF-8 keep their bytes.

    Raises:
        OSError: the disk is full, or not to be written.
    """
    new = [(name, reason) for name, reason in bad if name not in listed]
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    if not path.exists():
        rows.writerow(("path", "reason"))
    rows.writerows((os.fsdecode(name), reason) for name, reason in new)
    with path.open("ab", buffering=0) as file:  # one write, so that ranks do not mix their lines
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
    listed.update(name for name, _ in new)


def read_list(path: Path) -> list[BadFile]:
    """What `bad_files.csv` holds; nothing where there is none."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return [(os.fsencode(row[0]), row[1]) for row in csv.reader(file) if len(row) == 2][1:]


def require_few(report: Report, max_bad: float) -> None:
    """Refuse a dataset of which too much is bad, before anything is trained on it.

    Raises:
        TooManyBadError: more than the allowed part of the images looked at cannot be read.
    """
    share = report.bad_share
    if share <= max_bad or len(report.bad) <= max_bad * MIN_SEEN or share == 1:  # of none, whoever reads them tells
        return
    name, reason = report.bad[0]
    whole = f"{len(report.bad):,} of {report.images:,} images"
    if report.looked_at < report.images or report.decoded < report.images - len(report.bad):
        whole = f"About {share:.0%} of the images"
    allowed = min(1.0, max(2 * share, 0.1))
    raise TooManyBadError(
        f"{whole} cannot be read, such as {display(name)} ({reason}): more than --max-bad {max_bad:g} allows.",
        allowed=float(f"{allowed:.2g}"),
        advice=f"`tui-trainer data` names them; --max-bad {allowed:.2g} trains on the others.",
    )
