"""Files and folders that may not be read: told of, left out, and never the end of a run. Root reads everything, so that
another user looks."""

from __future__ import annotations

import json
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
    """What `look` gives in a process without rights; values that JSON holds."""
    if os.geteuid() != 0:
        return look()
    look()  # as root, so that everything is imported: that user may not be able to read Python's own files
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.environ["XDG_CACHE_HOME"] = "/nowhere"
            os.write(writing, json.dumps(look()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, "rb") as file:
        return json.loads(file.read())


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


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads of other tests; the child needs none
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


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
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
