"""Files and folders that may not be read: told of, left out, and never the end of a run. Root reads everything, so that
another user looks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.config import Config
from tui_trainer.data.batches import scan
from tui_trainer.data.datasets import ImageDataset, Spec
from tui_trainer.data.preflight import preflight
from tui_trainer.errors import DataError

from ..conftest import copy_digits

NOBODY = 65534


def as_nobody(look: Callable[[], Any]) -> Any:
    """What `look` gives without rights, in this process: a fork may wait for ever for a lock of another thread."""
    if os.geteuid() != 0:
        return look()
    look()  # as root, so that everything is imported: that user may not be able to read Python's own files
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        return look()
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Three classes of digits where anybody may look, with a class and an image that nobody may read."""
    place = Path(tempfile.mkdtemp())  # the folders of pytest are closed to others
    root = copy_digits(place / "digits", classes=4, each=6)
    (root / "1" / "more").mkdir()
    (root / "1" / "more" / "deep.png").touch()
    for path in (place, root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in (root / "3", root / "1" / "more", min((root / "0").iterdir())):
        path.chmod(0)
    yield root
    for path in (root / "3", root / "1" / "more"):
        path.chmod(0o755)
    shutil.rmtree(place)


def test_what_may_not_be_read_is_told_and_left_out(folder: Path) -> None:
    def look() -> Any:
        index = scan(Config().replace(data=str(folder)))
        report = preflight(index)
        assert report is not None
        batch = ImageDataset(index, Spec(image_size=8, channels=1, resize="squash")).read([(0, i) for i in range(18)])
        return [
            list(index.classes), list(index.warnings), [[os.fsdecode(name), why] for name, why in report.bad],
            len(batch.targets), [[os.fsdecode(name), why] for name, why in batch.bad],
        ]  # fmt: skip

    classes, warnings, bad, good, left_out = as_nobody(look)
    closed = [f"0/{min((folder / '0').iterdir()).name}", "Permission denied"]
    assert classes == ["0", "1", "2"]
    for part in ("1/more", "3"):
        assert f"Cannot read the folder {folder / part}: Permission denied; it is left out." in warnings
    assert bad == left_out == [closed]
    assert good == 17


def test_a_dataset_that_may_not_be_read_is_refused(folder: Path) -> None:
    def look() -> str:
        try:
            scan(Config().replace(data=str(folder)))
        except DataError as error:
            return str(error)
        return ""

    folder.chmod(0)
    said = as_nobody(look)
    folder.chmod(0o755)
    assert said == f"Cannot read the folder {folder}: Permission denied."
