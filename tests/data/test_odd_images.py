"""Several hundred broken and odd images: none ends a process, none is half read, none takes much memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from ..conftest import PATIENCE, ROOT
from . import odd_images
from .odd_images import BAD, EITHER, GOOD, HEIGHT, WIDTH, Odd, make, picture, saved, written

GIB = 1 << 30


def read_all(
    folder: Path, odd: Sequence[Odd], patience: float = PATIENCE
) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """What became of each by its name, and the names that the data report calls bad."""
    (folder / "odd").mkdir(parents=True)
    (folder / "plain").mkdir()
    make(folder / "odd", list(odd))
    for number in range(2):
        (folder / "plain" / f"plain-{number}.png").write_bytes(saved(picture(), "PNG"))
    words = [sys.executable, "-m", "tests.data.odd_run", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=patience, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (lines[-1:], done.stderr[-2000:])
    told = {name["name"]: what for name, what in zip(lines[:-1:2], lines[1::2], strict=True)}
    assert set(told) >= {one.name for one in odd}
    return told, set(lines[-1]["report"])


def test_odd_images_are_read_or_left_out_and_never_half(tmp_path: Path) -> None:
    odd = odd_images.odd_images()
    assert len(odd) >= 300
    told, report = read_all(tmp_path, odd)
    mean = np.asarray(picture()).mean((0, 1))
    for name, fate, _ in odd:
        training, validation = told[name]["bad"]
        assert (bool(training), bool(validation)) == (name in report,) * 2, (name, told[name])
        if fate == EITHER:
            assert told[name].get("filled", 0.0) < 0.02, name
            continue
        assert (name in report) == (fate == BAD), (name, training)
        shape = told[name]["shape"]
        if fate == GOOD and 1 not in shape and "large" not in name:
            assert sorted(shape) == sorted((HEIGHT, WIDTH, 3)), name
            if "alpha" not in name and np.ptp(told[name]["mean"]) > 20:  # colours, and nothing of them transparent
                assert np.abs(told[name]["mean"] - mean).max() < 12, name
    assert max(what["memory"] for what in told.values()) < GIB // 8
    assert {name for name, what in told.items() if what["shape"]} == set(told) - report


@pytest.mark.soak
def test_thousands_of_damaged_images(tmp_path: Path) -> None:
    odd = [one for one in odd_images.odd_images(flips=400, seed=12) if one.name.startswith("flip")]
    told, _ = read_all(tmp_path, odd, patience=3600)
    assert {name for name, what in told.items() if what.get("filled", 0.0) >= 0.02} == set()
    assert max(what["memory"] for what in told.values()) < GIB // 8


def giants() -> list[Odd]:
    """The largest pictures that are decoded, in each format and depth: 100 megapixels, or a part of them."""
    plain = np.zeros((9_990, 10_000, 3), np.uint8)
    plain[:, ::2] = (90, 30, 200)
    grey, half, quarter, eighth = plain[:, :, 0], plain[:4_990], plain[:2_490], plain[:1_240]
    deep, alpha = half.astype(np.uint16) << 8, np.dstack([plain, grey])
    progressive = cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111
    fast = cv2.IMWRITE_PNG_COMPRESSION, 1
    files = {
        "base.jpg": written(".jpg", plain),
        "progressive.jpg": written(".jpg", plain, *progressive),
        "cmyk.jpg": saved(Image.fromarray(half).convert("CMYK"), "JPEG", progressive=True),
        "restart.jpg": written(".jpg", plain, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
        "colour.png": written(".png", plain, *fast),
        "alpha.png": written(".png", alpha, *fast),
        "deep.png": written(".png", deep, *fast),
        "deep-alpha.png": written(".png", np.dstack([deep, deep[:, :, 0]]), *fast),
        "grey-alpha.png": saved(Image.fromarray(alpha[:4_990, :, 2:]), "PNG", compress_level=1),
        "colour.bmp": written(".bmp", plain),
        "palette.gif": saved(Image.fromarray(grey), "GIF"),
        "colour.tif": written(".tiff", plain),
        "alpha.tif": written(".tiff", alpha),
        "deep.tif": written(".tiff", deep),
        "float.tif": written(".tiff", quarter.astype(np.float32)),
        "double.tif": written(".tiff", eighth.astype(np.float64)),
        "colour.webp": written(".webp", plain, cv2.IMWRITE_WEBP_QUALITY, 1),
        "lossless.webp": saved(Image.fromarray(plain), "WEBP", lossless=True, method=0, quality=0),
        "colour.avif": saved(Image.fromarray(half), "AVIF", speed=10, quality=20),
        "deep.avif": written(".avif", deep[:2_490] >> 6, cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_SPEED, 10),
        "alpha.avif": saved(Image.fromarray(alpha[:2_490]), "AVIF", speed=10, quality=20),
    }  # fmt: skip
    return [Odd(name, EITHER, data) for name, data in files.items()]


@pytest.mark.soak
def test_the_largest_images_take_less_than_a_gibibyte(tmp_path: Path) -> None:
    told, report = read_all(tmp_path, giants(), patience=3600)
    assert report == set()
    assert {name: what["memory"] >> 20 for name, what in told.items() if what["memory"] > GIB} == {}
