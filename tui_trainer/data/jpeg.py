"""JPEG with simplejpeg where it is installed (extra `jpeg`): OpenCV's pixels bit for bit, in less time."""

from __future__ import annotations

import importlib
import threading
from types import ModuleType

import numpy as np

from tui_trainer.data.decode import BadImageError, Pixels, decode_as, require_size, upright
from tui_trainer.data.header import MEGAPIXELS, Header

_LARGEST_KEPT = 64 << 20  # bytes of a buffer that is kept for the next image


def _simplejpeg() -> ModuleType | None:
    try:
        return importlib.import_module("simplejpeg")
    except ImportError:
        return None


_library = _simplejpeg()
_mine = threading.local()


def decoded(
    head: Header, data: bytes, channels: int, reduce: int = 1, room: Pixels | None = None,
    max_megapixels: float = MEGAPIXELS,
) -> Pixels:  # fmt: skip
    """As `decode_as`; the pixels are only valid until this thread decodes the next image.

    They are written into `room`, which is flat, where that is possible without a copy; nothing else ever is, because
    others may read there what they decoded.

    Raises:
        BadImageError: it is damaged, or of a kind that is not read.
    """
    if _library is None or head.format != "jpeg" or head.mode == "cmyk":
        return decode_as(head, data, channels, reduce=reduce, max_megapixels=max_megapixels)
    require_size(head, max_megapixels)
    height, width = (head.height, head.width) if head.orientation < 5 else (head.width, head.height)
    height, width = -(-height // reduce), -(-width // reduce)
    size = height * width * channels
    try:
        pixels: Pixels = _library.decode_jpeg(
            data,
            "GRAY" if channels == 1 else "RGB",
            min_height=height if reduce > 1 else 0,
            min_width=width if reduce > 1 else 0,
            buffer=_buffer(size) if room is None or room.size < size or head.orientation != 1 else room,
        )
    except ValueError:  # damaged, or only unusual: OpenCV decides, so that the same files are bad with either
        return decode_as(head, data, channels, reduce=reduce, max_megapixels=max_megapixels)
    if pixels.shape[:2] != (height, width):
        return decode_as(head, data, channels, reduce=reduce, max_megapixels=max_megapixels)
    return pixels if head.orientation == 1 else upright(pixels, head.orientation)


def _buffer(size: int) -> Pixels:
    """Memory of this thread: fresh pages for each image would cost a tenth of its decoding."""
    kept: Pixels | None = getattr(_mine, "buffer", None)
    if kept is None or kept.size < size:
        kept = np.empty(size, np.uint8)
        if size <= _LARGEST_KEPT:
            _mine.buffer = kept
    return kept


__all__ = ["BadImageError", "decoded"]
