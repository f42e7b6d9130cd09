"""Looking at a dataset: what is found, how much is looked at, and that it ends when it is asked to."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tui_trainer.data import copies, together
from tui_trainer.data import examine as module
from tui_trainer.data.examine import EVERYTHING, Limits, examine
from tui_trainer.data.folders import scan
from tui_trainer.data.index import Index
from tui_trainer.data.report import Report


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six different colour images of 20x10 in each of two classes."""
    for number, name in enumerate(("ant", "bee")):
        for i in range(6):
            write(tmp_path / name / f"{i}.png", noise(10 * number + i, 10, 20, 3))
    return tmp_path


def look(folder: Path, limits: Limits | None = None) -> Report:
    *_, last = examine(index_of(folder), limits)
    return last


def index_of(folder: Path) -> Index:
    return scan(folder, None, 0.3, 0)


def test_a_clean_folder(folder: Path) -> None:
    report = look(folder)
    assert report.stage == ""
    assert (report.looked_at, report.compared, report.decoded) == (12, 12, 12)
    assert report.sizes is not None
    assert report.sizes.in_words() == "all 20x10"
    assert report.colours == (("colour", 12),)
    assert report.bad == ()
    assert report.copies == ()
    assert report.in_class == (6, 6)
    assert sum(report.in_part) == 12


def test_colours_are_named(folder: Path) -> None:
    write(folder / "ant" / "grey.png", noise(1, 5, 5))
    write(folder / "ant" / "alpha.png", noise(2, 5, 5, 4))
    write(folder / "ant" / "deep.png", noise(3, 5, 5).astype(np.uint16) * 200)
    assert set(look(folder).colours) == {("colour", 12), ("grey", 1), ("colour with alpha", 1), ("16-bit grey", 1)}


def test_bad_files_are_those_that_training_leaves_out(folder: Path) -> None:
    (folder / "ant" / "text.jpg").write_text("no image")
    (folder / "ant" / "empty.png").touch()
    os.mkfifo(folder / "bee" / "pipe.png")
    (folder / "bee" / "gone.png").symlink_to(folder / "nowhere")
    whole = (folder / "bee" / "0.png").read_bytes()
    (folder / "bee" / "cut.png").write_bytes(whole[: len(whole) // 2])
    found = dict(look(folder).bad)
    assert found == {
        b"ant/empty.png": "empty file",
        b"ant/text.jpg": "no image",
        b"bee/cut.png": "damaged or truncated",
        b"bee/gone.png": "No such file or directory",
        b"bee/pipe.png": "not a regular file",
    }


def test_an_image_that_claims_a_billion_pixels_is_not_decoded(folder: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side, name in ((40_000, "bomb.png"), (10_001, "large.png")):
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        body = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (folder / "ant" / name).write_bytes(body)
    assert look(folder).bad == (
        (b"ant/bomb.png", "40000x40000 pixels are more than 100 megapixels"),
        (b"ant/large.png", "10001x10001 pixels are more than 100 megapixels"),
    )


def test_copies_within_a_class_across_classes_and_across_parts(folder: Path) -> None:
    shutil.copy(folder / "ant" / "0.png", folder / "bee" / "9.png")
    (group,) = look(folder).copies
    assert group.names == (b"ant/0.png", b"bee/9.png")
    assert group.across_classes

    given = folder / "given"
    for seed, where in enumerate(("train/ant", "train/bee", "val/ant", "val/bee")):
        write(given / where / "own.png", noise(seed, 9, 9, 3))
    shutil.copy(folder / "ant" / "1.png", given / "train" / "ant")
    shutil.copy(folder / "ant" / "1.png", given / "val" / "ant" / "renamed.png")
    (group,) = look(given).copies
    assert group.names == (b"train/ant/1.png", b"val/ant/renamed.png")
    assert group.across_parts
    assert not group.across_classes
    (given / "train" / "ant" / "1.png").rename(given / "val" / "ant" / "moved.png")
    (group,) = look(given).copies
    assert not group.across_parts


def test_files_of_one_length_and_other_content_are_no_copies(folder: Path) -> None:
    for i in range(3):
        (folder / "ant" / f"same-length-{i}.bmp").write_bytes(cv2.imencode(".bmp", noise(i, 8, 8, 3))[1].tobytes())
    report = look(folder)
    assert report.copies == ()
    assert report.compared == 15


def test_limits_bound_the_work_and_are_told(folder: Path) -> None:
    report = look(folder, Limits(headers=5, compared=7, decoded=3))
    assert (report.looked_at, report.decoded) == (5, 3)
    assert report.compared <= 7
    assert dict(report.facts())["looked at"].startswith("headers of 5 of 12, contents of ")
    assert look(folder, Limits(decoded_pixels=500)).decoded == 3  # 200 pixels each
    twins = folder / "bee" / "0.png"
    shutil.copy(twins, folder / "bee" / "twin.png")
    assert look(folder, Limits(hashed_bytes=10)).copies == ()
    assert look(folder, EVERYTHING).decoded == 13


def test_reports_grow_and_closing_ends_the_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = list(examine(index_of(folder), pace=0))
    for name in ("looked_at", "compared", "decoded"):
        values = [getattr(report, name) for report in reports]
        assert values == sorted(values)
        assert values[0] == 0
        assert values[-1] == 12
    assert [report.stage for report in reports][-2:] == ["decoded", ""]
    seen: list[bytes] = []
    real = module._header
    monkeypatch.setattr(module, "_header", lambda path, most: (seen.append(path), real(path, most))[1])
    generator = examine(index_of(folder), pace=0)
    next(generator)
    next(generator)
    generator.close()
    assert len(seen) == 1


def test_threads_find_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(folder / "ant" / "0.png", folder / "bee" / "9.png")
    (folder / "ant" / "text.jpg").write_text("no image")
    (folder / "bee" / "cut.png").write_bytes((folder / "bee" / "0.png").read_bytes()[:300])
    alone = look(folder)
    for name in ("HEADERS_AT_ONCE", "DECODES_AT_ONCE"):
        monkeypatch.setattr(module, name, 2)
    monkeypatch.setattr(copies, "AT_ONCE", 1)
    monkeypatch.setattr(together, "usable_cpus", lambda: 4)
    asked: set[str] = set()
    real = module._decoded
    name = "_decoded"
    monkeypatch.setattr(module, name, lambda *of: (asked.add(threading.current_thread().name), real(*of))[1])
    assert look(folder) == alone
    assert any(name.startswith("look") for name in asked)


def test_closing_ends_the_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "usable_cpus", lambda: 2)
    worked: list[int] = []
    results = together.together(worked.append, range(10_000), 1)
    assert [next(results)[0] for _ in range(3)] == [0, 1, 2]
    results.close()  # type: ignore[attr-defined]
    assert len(worked) < 100
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("look")]


def test_looking_imports_no_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tui_trainer.data.folders import scan;"
        "from tui_trainer.data.examine import examine;"
        f"list(examine(scan(Path({str(folder)!r}), None, 0.3, 0))); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
