"""Image folders to measure on: pictures with as much detail as photos, so that JPEGs are as large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

CLASSES = 4


def picture(rng: np.random.Generator, height: int, width: int, slope: float = 1.1) -> npt.NDArray[np.uint8]:
    """(H, W, 3): waves of amplitude frequency ** -slope, in three correlated colours."""
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    amplitude = np.maximum(np.hypot(y, x), 1 / max(height, width)) ** -slope
    planes = []
    for _ in range(3):
        waves = amplitude * np.exp(2j * np.pi * rng.random(amplitude.shape))
        plane = np.fft.irfft2(waves, s=(height, width))
        planes.append(plane / plane.std())
    grey = planes[0]
    colours = np.stack([grey + 0.3 * plane for plane in planes], axis=2)
    return np.clip(128 + 48 * colours + rng.normal(0, 2, colours.shape), 0, 255).astype(np.uint8)


def photos(folder: Path, count: int, width: int, height: int, quality: int = 90, slope: float = 1.1) -> Path:
    """`count` JPEGs in class folders; a few pictures, each cut, turned and lit in several ways."""
    rng = np.random.default_rng(0)
    bases = [picture(rng, height, width, slope) for _ in range(min(count, 8))]
    for number in range(count):
        pixels = np.roll(bases[number % len(bases)], rng.integers(0, 200, 2).tolist(), (0, 1))
        place = folder / str(number % CLASSES)
        place.mkdir(parents=True, exist_ok=True)
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        cv2.imwrite(str(place / f"{number:06}.jpg"), cv2.convertScaleAbs(pixels, alpha=rng.uniform(0.8, 1.1)), options)
    return folder


def tiled(folder: Path, real: Path, count: int, width: int, height: int, quality: int = 90) -> Path:
    """`count` JPEGs in class folders, each of 16 real photos side by side at about their own size."""
    rng = np.random.default_rng(2)
    files = sorted(path for path in real.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for number in range(count):
        whole = np.empty((height, width, 3), np.uint8)
        for k, choice in enumerate(rng.choice(len(files), 16, replace=False).tolist()):
            pixels: Any = cv2.imdecode(np.fromfile(files[choice], np.uint8), cv2.IMREAD_COLOR)
            top, left = k // 4 * (height // 4), k % 4 * (width // 4)
            whole[top : top + height // 4, left : left + width // 4] = cv2.resize(pixels, (width // 4, height // 4))
        place = folder / str(number % CLASSES)
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{number:06}.jpg"), whole, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return folder


def small(folder: Path, count: int, side: int = 32) -> Path:
    """`count` PNGs in class folders, which a small network can learn to tell apart."""
    rng = np.random.default_rng(1)
    bases = [picture(rng, side, side) for _ in range(CLASSES)]
    for number in range(count):
        place = folder / "train" / str(number % CLASSES) if number % 6 else folder / "val" / str(number // 6 % CLASSES)
        label = int(place.name)
        place.mkdir(parents=True, exist_ok=True)
        mixed = cv2.addWeighted(bases[label], 0.5, picture(rng, side, side), 0.5, 0)
        cv2.imwrite(str(place / f"{number:06}.png"), mixed)
    return folder


def bytes_each(folder: Path) -> float:
    """Of the image files, on average."""
    sizes = [path.stat().st_size for path in folder.rglob("*.*") if path.is_file()]
    return sum(sizes) / len(sizes)
