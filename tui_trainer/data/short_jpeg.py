"""Whether a JPEG's coded data end before its picture does.

libjpeg fills what is missing with grey and only prints a warning, OpenCV hands the picture out. Bytes
added where the data end are decoded if something is missing, and skipped if not: a picture that is
really grey stays as it is, because it is complete without them.
"""

from __future__ import annotations

import io
import re
from typing import Any

from tui_trainer.data.header import Header

GREY = 128  # what libjpeg fills in
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_RESTARTS = range(0xD0, 0xD8)
_PROGRESSIVE, _END, _SCAN, _INTERVAL = 0xC2, 0xD9, 0xDA, 0xDD
_MORE = b"\x5a\xa5\x33\xc7\x0f\x96"


def may_be(head: Header, data: bytes, pixels: Any, reduce: int) -> bool:
    """Whether the picture shows what libjpeg fills in: as its end, between restart markers, or as a lack of colour."""
    if head.mode == "cmyk":  # grey there is a dark colour
        return True
    last = pixels[-1, -1]
    if (last == GREY).all():
        return True
    scan, tables = _next_scan(data, 2)
    if _INTERVAL in tables and _has_grey_block(pixels, reduce):
        return True
    colourless = pixels.ndim == 3 and bool((last == last[0]).all())
    return colourless and _PROGRESSIVE not in tables and data.find(b"\xff\xda", scan + 2) >= 0


def _has_grey_block(pixels: Any, reduce: int) -> bool:
    """Whether all of a block of 8x8 may be grey; at an eighth of the size it is one pixel."""
    step = max(1, 4 // reduce)
    grey = pixels[::step, ::step] == GREY
    grey = grey.all(-1) if grey.ndim == 3 else grey
    if reduce == 8:
        return bool(grey.any())
    return bool((grey[:-1, :-1] & grey[1:, :-1] & grey[:-1, 1:] & grey[1:, 1:]).any())


def is_surely_whole(data: bytes, channels: int, reduce: int) -> bool:
    """Whether Pillow sees nothing change with bytes that are added; if it does, OpenCV has the last word.

    OpenCV would print past the program, each time that a whole picture is read, that libjpeg has skipped them.
    """
    longer = lengthened(data)
    try:
        return bool(longer) and _decoded(longer, channels, reduce) == _decoded(data, channels, reduce)
    except Exception:  # plugins of Pillow raise anything for hostile bytes
        return False


def _decoded(data: bytes, channels: int, reduce: int) -> bytes:
    """The pixels in the colours of the file, or its luminance."""
    from PIL.JpegImagePlugin import JpegImageFile

    with JpegImageFile(io.BytesIO(data)) as image:  # `Image.open` warns of the size, which was looked at before
        image.draft(
            "L" if channels == 1 else image.mode, (max(1, image.width // reduce), max(1, image.height // reduce))
        )
        pixels: bytes = image.tobytes()
        return pixels


def lengthened(data: bytes) -> bytes:
    """The same file with bytes added wherever coded data end; nothing if restart markers are out of their order.

    Of a progressive file that is the end of its first scan: the others only make it sharper.
    """
    scan, tables = _next_scan(data, 2)
    parts, done, at, expected = list[bytes](), 0, scan + 2, 0
    while scan >= 0 and (found := _MARKER.search(data, at)):
        end, restarts = found.start(), data[found.start() + 1] in _RESTARTS
        parts += data[done:end], _MORE * (4 if restarts else 64)
        if restarts and data[end + 1] - 0xD0 != expected:
            return b""
        expected = (expected + 1) % 8 if restarts else 0
        done, at = end, end + 2
        if not restarts:
            scan = -1 if _PROGRESSIVE in tables else _next_scan(data, end)[0]
            at = scan + 2
    return b"".join((*parts, data[done:]))


def _next_scan(data: bytes, at: int) -> tuple[int, set[int]]:
    """Where the next scan starts, -1 if there is none, and the markers before it; pictures within them are passed."""
    seen = set[int]()
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 3:
        marker = data[at + 1]
        if marker in (0x00, 0xFF):
            at += 1
            continue
        if marker in (_SCAN, _END):
            return at if marker == _SCAN else -1, seen
        seen.add(marker)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return -1, seen
