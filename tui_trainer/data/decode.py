"""Bytes of an image file to (H, W, C) uint8, RGB or grey, with OpenCV: the same in training, test and prediction.

The content decides, never the name. EXIF orientation is applied; 16 bits and floats are scaled to
8; CMYK and palettes become RGB; alpha is laid on white; of several frames or pages the first is
taken. A truncated file is a bad file. The path is opened here and OpenCV sees bytes only: its
`imread` returns half-grey pictures for truncated JPEGs and crashes on names that are not UTF-8.
"""

from __future__ import annotations

import os
import stat
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.data import short_jpeg
from tui_trainer.data.header import MEGAPIXELS, BadImageError, Header, NoRoomError, header, png_is_whole

MOST = 1_000_000_000  # for OpenCV, which reads its limit once, at its import; the header is checked before
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what is wrong with a file is told once, by whoever reads it

import cv2  # noqa: E402

cv2.setNumThreads(0)  # workers are the parallelism
cv2.utils.logging.setLogLevel(0)  # for whoever imported cv2 before

__all__ = [
    "BadImageError",
    "Header",
    "Pixels",
    "decode",
    "header",
    "is_grey",
    "read_file",
    "read_image",
    "read_with_stamp",
]

Pixels = npt.NDArray[np.uint8]
Stamp = tuple[int, int]  # bytes and time of the last change (ns) of an image file
ROWS = 1 << 22  # values that are converted at a time, so that a large picture needs no second copy
_RGB, _LUMINANCE, _ALL = cv2.IMREAD_COLOR_RGB, cv2.IMREAD_GRAYSCALE, cv2.IMREAD_UNCHANGED
_REDUCED = {1: 0, 2: 16, 4: 32, 8: 64}  # libjpeg's own scales; the odd eighths are slower than a full decode
_STEPS = {  # orientation -> transpose first, then a flip code of OpenCV
    2: (False, 1),
    3: (False, -1),
    4: (False, 0),
    5: (True, None),
    6: (True, 1),
    7: (True, -1),
    8: (True, 0),
}


def read_image(path: bytes, channels: int, max_megapixels: float = MEGAPIXELS) -> Pixels:
    """The image at `path`: (H, W, 3) RGB or (H, W, 1) grey.

    Raises:
        BadImageError: it is not a regular file, cannot be read, cannot be decoded, or is too large.
    """
    return decode(read_file(path), channels, max_megapixels=max_megapixels)


def read_file(path: bytes, most: int = -1) -> bytes:
    """The bytes of a regular file, `most` of them or all; never waits on a pipe.

    Raises:
        BadImageError: it is none, or cannot be read.
    """
    return read_with_stamp(path, most)[0]


def read_with_stamp(path: bytes, most: int = -1) -> tuple[bytes, Stamp]:
    """As `read_file`, and the state of the file before it was read, which is looked at for it anyway."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BadImageError("not a regular file")
            return _bytes_of(descriptor, status.st_size, most), (status.st_size, status.st_ctime_ns)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadImageError(error.strerror or "cannot be read") from None


def _bytes_of(descriptor: int, size: int, most: int) -> bytes:
    """In one call where all of it comes at once; through a file object alone it takes a third longer."""
    wanted = size if most < 0 else most
    data = os.read(descriptor, wanted)
    if wanted and len(data) == wanted:
        return data
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        return data + (file.read(-1 if most < 0 else wanted - len(data)) or b"")


def decode(data: bytes, channels: int, *, reduce: int = 1, max_megapixels: float = MEGAPIXELS) -> Pixels:
    """The image that `data` encodes: (H, W, 3) RGB or (H, W, 1) grey, upright.

    `reduce` 2, 4 or 8 lets a JPEG be decoded at that part of its sides, rounded up, for a fraction of
    the time; other formats come whole.

    Raises:
        BadImageError: it is not an image of a format that is read, is damaged, or is too large.
    """
    return decode_as(header(data), data, channels, reduce=reduce, max_megapixels=max_megapixels)


def decode_as(
    head: Header, data: bytes, channels: int, *, reduce: int = 1, max_megapixels: float = MEGAPIXELS
) -> Pixels:
    """`decode` for whoever has looked at the header already."""
    require_size(head, max_megapixels)
    plain = _LUMINANCE if channels == 1 else _RGB
    if head.format == "jpeg":
        pixels = _decoded(data, plain | _REDUCED[reduce])
        suspect = short_jpeg.may_be(head, data, pixels, reduce)
        if suspect and not short_jpeg.is_surely_whole(data, channels, reduce):
            longer = _decoded(short_jpeg.lengthened(data), plain | _REDUCED[reduce])
            if not np.array_equal(longer, pixels):
                raise BadImageError("damaged or truncated")
    elif head.format == "png" and not png_is_whole(data):
        raise BadImageError("damaged or truncated")
    elif head.mode == "lab":
        raise BadImageError("CIELAB colours, which are not read")
    elif head.alpha and head.mode == "grey":
        pixels = _with_pillow(data, channels)
    elif head.alpha or head.format == "avif" or head.bits > 16 or head.format == "tiff":
        pixels = _converted(_decoded(data, _ALL), channels, head)
    else:
        pixels = _decoded(data, plain)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return pixels if head.orientation == 1 or head.format == "tiff" else upright(pixels, head.orientation)


def require_size(head: Header, max_megapixels: float = MEGAPIXELS) -> None:
    """Refuse what would take more memory than a JPEG of that many pixels.

    Raises:
        BadImageError: it is too large.
    """
    weight = _weight(head)
    if head.pixels * weight > max_megapixels * 1e6:
        times = f", each as large as {weight} of a JPEG," if weight > 1 else ""
        raise BadImageError(f"{head.width}x{head.height} pixels{times} are more than {max_megapixels:g} megapixels")


def _weight(head: Header) -> int:
    """What a pixel takes in memory while it is decoded, in pixels of a JPEG (7 bytes); measured."""
    if head.bits > 16:
        return 8 if head.bits > 32 else 4
    deep = 2 if head.bits > 8 and (head.alpha or head.format in ("tiff", "avif")) else 1
    if head.format == "avif":
        return (4 if head.alpha else 2) * deep
    with_pillow = head.mode == "grey" and head.alpha
    return 2 if head.mode == "cmyk" or with_pillow else deep


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """(H, W, C) turned and mirrored as EXIF's `orientation`, 1 to 8, asks."""
    if orientation not in _STEPS:
        return pixels
    across, code = _STEPS[orientation]
    turned: Any = cv2.transpose(pixels) if across else pixels
    turned = turned if code is None else cv2.flip(turned, code)
    whole: Pixels = turned if turned.ndim == 3 else turned[:, :, None]
    return whole


def is_grey(data: bytes) -> bool:
    """Whether all colours of the image are grey by its header.

    Raises:
        BadImageError: it is no image.
    """
    return header(data).grey


def _decoded(data: bytes, flags: int) -> Any:
    """What OpenCV makes of it, never turned: the same orientation serves every decoder."""
    flags = flags if flags == _ALL else flags | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        if isinstance(error, MemoryError) or error.code == cv2.Error.StsNoMem:
            raise NoRoomError("too little memory to decode it") from None
        pixels = None
    if pixels is None or not pixels.size:
        raise BadImageError("damaged or truncated")
    return pixels


def _converted(pixels: Any, channels: int, head: Header) -> Any:
    """Any array that OpenCV decodes, in BGR order and of any depth, to 8 bits on white."""
    pixels = eight_bits(pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _on_white(pixels, head)
    grey = pixels.ndim == 2 or pixels.shape[2] == 1
    if channels == 1:
        return pixels if grey else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB)


def eight_bits(pixels: Any) -> Any:
    """Whole numbers scaled from their full range; floats from [0, 1], or from [0, 255] or [0, 65535] if larger.

    The range of floats is the smallest of the three that holds the largest value, so that it does not
    vary between pictures of one kind as the darkest and brightest value do. What is not a number is black.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if np.issubdtype(pixels.dtype, np.floating):
        largest = max((float(np.nanmax(part, initial=0.0)) for (part,) in _parts(pixels)), default=0.0)
        scale = 255.0 if largest <= 1 else 1.0 if largest <= 255 else 255 / 65535
    else:
        full = 65535 if np.iinfo(pixels.dtype).bits == 32 and _fits_sixteen(pixels) else np.iinfo(pixels.dtype).max
        scale = 255 / full
    small = np.empty(pixels.shape, np.uint8)
    for part, into in _parts(pixels, small):
        scaled = np.nan_to_num(part.astype(np.float32), nan=0.0) * np.float32(scale)
        np.clip(scaled, 0, 255, out=scaled)
        np.add(scaled, 0.5, out=scaled)
        into[:] = scaled.astype(np.uint8)
    return small


def _fits_sixteen(pixels: Any) -> bool:
    return int(pixels.max()) <= 65535


def _parts(*arrays: Any) -> list[tuple[Any, ...]]:
    """The same rows of each array, a few at a time."""
    height, size = arrays[0].shape[0], arrays[0].size
    rows = max(1, ROWS * height // max(1, size))
    return [tuple(array[start : start + rows] for array in arrays) for start in range(0, height, rows)]


def _on_white(pixels: Pixels, head: Header) -> Pixels:
    """(H, W, 4) BGRA to (H, W, 3) BGR; in TIFF OpenCV has multiplied the colours by alpha already."""
    if head.format == "bmp" and not pixels[:, :, 3].any():  # the fourth byte of most BMPs means nothing
        return cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)  # type: ignore[return-value]
    flat = np.empty((*pixels.shape[:2], 3), np.uint8)
    for part, into in _parts(pixels, flat):
        alpha = part[:, :, 3:].astype(np.uint16)
        colour = part[:, :, :3].astype(np.uint16)
        blended = colour * 255 if head.format == "tiff" else colour * alpha
        into[:] = np.minimum((blended + (255 - alpha) * 255 + 127) // 255, 255)
    return flat


def _with_pillow(data: bytes, channels: int) -> Any:
    """Grey with transparency, which OpenCV reads without it."""
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "TIFF", "AVIF")) as image:
            deep = image.mode.startswith("I")
            over = np.asarray(image) if deep else np.asarray(image.convert("LA"))
    except Exception:  # plugins of Pillow raise anything for hostile bytes
        raise BadImageError("damaged or truncated") from None
    grey = eight_bits(over) if deep else _grey_on_white(over)
    return grey if channels == 1 else cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _grey_on_white(over: Pixels) -> Pixels:
    alpha = over[:, :, 1].astype(np.uint16)
    flat: Pixels = ((over[:, :, 0] * alpha + (255 - alpha) * 255 + 127) // 255).astype(np.uint8)
    return flat
