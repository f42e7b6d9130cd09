"""JPEG with simplejpeg where it is installed (extra `jpeg`): OpenCV's pixels bit for bit, in less time.

A crop needs nothing of the rows below it. The coded data can only be read from the top on, but decoding ends with as
many rows as the frame states: with less stated there, the rows below cost nothing. What is lost or damaged in a file
is only noticed at the end of its data, so that this is for files that were decoded whole before.
"""

from __future__ import annotations

import importlib
import re
import threading
from types import ModuleType

import numpy as np

from tui_trainer.data import known_bad
from tui_trainer.data.augment import Box
from tui_trainer.data.decode import BadImageError, Pixels, decode_as, require_size, upright
from tui_trainer.data.header import MEGAPIXELS, Header, NoRoomError

_LARGEST_KEPT = 64 << 20  # bytes of a buffer that is kept for the next image
_LEFT = re.compile(r"Corrupt JPEG data: \d+ extraneous bytes before marker 0xd[0-79]$")  # libjpeg's word for the rest
_BELOW = 2  # rows that the colours of the last one are blended with, if they are coded at half of the size
_WORTH = 15 / 16  # of the rows: the copy of the file costs more than what is left out otherwise


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
    if head.format != "jpeg":
        return decode_as(head, data, channels, reduce=reduce, max_megapixels=max_megapixels)
    how = channels, reduce, max_megapixels
    known_bad.require_unknown(data, how)
    try:
        return _decoded(head, data, channels, reduce, room, max_megapixels)
    except BadImageError as error:
        if not isinstance(error, NoRoomError):
            known_bad.add(data, how, str(error))
        raise


def _decoded(
    head: Header, data: bytes, channels: int, reduce: int, room: Pixels | None, max_megapixels: float
) -> Pixels:
    if _library is None or head.mode == "cmyk":
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


def decoded_part(
    head: Header, data: bytes, channels: int, box: Box, reduce: int = 1, max_megapixels: float = MEGAPIXELS
) -> tuple[Pixels, Box] | None:
    """A picture from its first coded row to the last one that `box` needs, and that box in it.

    `box` counts in pixels of the whole picture, decoded at `reduce`; within it they are those of `decoded`, and valid
    as long. None: little would be left out, or the file is of another kind, or libjpeg complains of what is decoded.

    Raises:
        BadImageError: it is too large.
    """
    if _library is None or not head.height_at or head.mode == "cmyk":
        return None
    require_size(head, max_megapixels)
    height, width = -(-head.height // reduce), -(-head.width // reduce)
    coded = (head.height, width) if head.orientation < 5 else (head.width, height)
    rows = _rows(head.orientation, box, height, width) + _BELOW
    if rows * reduce > coded[0] * _WORTH:
        return None
    pixels = _buffer(rows * coded[1] * channels)[: rows * coded[1] * channels].reshape(rows, coded[1], channels)
    try:
        _library.decode_jpeg(
            b"".join(
                (data[: head.height_at], (rows * reduce).to_bytes(2, "big"), memoryview(data)[head.height_at + 2 :])
            ),
            "GRAY" if channels == 1 else "RGB",
            min_height=rows if reduce > 1 else 0,
            min_width=coded[1] if reduce > 1 else 0,
            buffer=pixels,
        )
    except ValueError as error:  # the pixels are there, if what is left was all that there was to say
        if not _LEFT.match(str(error)):
            return None
    down = height - rows if head.orientation in (3, 4) else 0
    right = width - rows if head.orientation in (6, 7) else 0
    within = box._replace(top=box.top - down, left=box.left - right)
    return pixels if head.orientation == 1 else upright(pixels, head.orientation), within


def _rows(orientation: int, box: Box, height: int, width: int) -> int:
    """How many coded rows, from the first on, hold a box of an upright picture."""
    if orientation in (3, 4):
        return height - box.top
    if orientation in (6, 7):
        return width - box.left
    return box.top + box.height if orientation < 5 else box.left + box.width


def _buffer(size: int) -> Pixels:
    """Memory of this thread: fresh pages for each image would cost a tenth of its decoding."""
    kept: Pixels | None = getattr(_mine, "buffer", None)
    if kept is None or kept.size < size:
        kept = np.empty(size, np.uint8)
        if size <= _LARGEST_KEPT:
            _mine.buffer = kept
    return kept


__all__ = ["BadImageError", "decoded", "decoded_part"]
