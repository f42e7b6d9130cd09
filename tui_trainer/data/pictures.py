"""Images that lie in memory or in another dataset, handed out as the bytes of an image file.

So they take the same way through decoding, resizing and augmentation as files do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class ArrayPictures:
    """(M, H, W) grey or (M, H, W, 3) RGB uint8."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self.size: tuple[int, int] | None = (pixels.shape[2], pixels.shape[1])  # width, height

    def __len__(self) -> int:
        return len(self._pixels)

    def encoded(self, index: int) -> bytes:
        """The image as PNG, not compressed."""
        return png(self._pixels[index])

    def hashed(self) -> npt.NDArray[np.uint8]:
        """What tells one set of images from another."""
        return np.ascontiguousarray(self._pixels)


class OtherPictures:
    """Several datasets one after another, whose samples are (PIL image, target)."""

    size: tuple[int, int] | None = None

    def __init__(self, datasets: list[Any]) -> None:
        self._datasets = datasets
        self._ends = np.cumsum([len(one) for one in datasets])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def encoded(self, index: int) -> bytes:
        """The image as PNG, not compressed."""
        which = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[which - 1]) if which else 0
        image = self._datasets[which][index - first][0]
        return png(np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")))

    def hashed(self) -> npt.NDArray[np.uint8]:
        """Nothing: the images are not read for it."""
        return np.zeros(0, np.uint8)


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """(H, W) or (H, W, 3) RGB as a PNG file."""
    import cv2

    bgr = pixels if pixels.ndim == 2 else pixels[:, :, ::-1]
    _, data = cv2.imencode(".png", np.ascontiguousarray(bgr), [cv2.IMWRITE_PNG_COMPRESSION, 0])
    return data.tobytes()
