"""Bytes of an image file to (H, W, C) uint8, RGB or grey, with OpenCV.

OpenCV decodes to BGR unless asked; here it is asked for RGB, the order of ImageNet's statistics.
The path is opened here and OpenCV sees bytes only: its `imread` returns half-grey pictures for
truncated JPEGs and crashes on names that are not UTF-8.
"""

from __future__ import annotations

import os
import stat

import numpy as np
import numpy.typing as npt

MAX_PIXELS = 100_000_000  # a 10 KB JPEG can claim 10^9 pixels and take 6 GB
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))  # read once, at the import of cv2
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what is wrong with a file is told once, by whoever reads it

import cv2  # noqa: E402

cv2.setNumThreads(0)  # workers are the parallelism

Pixels = npt.NDArray[np.uint8]


class BadImageError(Exception):
    """A file that is no image, or a damaged one; the text says why."""


def read_image(path: bytes, channels: int) -> Pixels:
    """The image at `path`: (H, W, 3) RGB or (H, W, 1) grey, EXIF orientation applied.

    Raises:
        BadImageError: it is not a regular file, cannot be read, or cannot be decoded.
    """
    return decode(read_file(path), channels)


def read_file(path: bytes) -> bytes:
    """The bytes of a regular file; never waits on a pipe.

    Raises:
        BadImageError: it is none, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadImageError("not a regular file")
        with open(descriptor, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadImageError(error.strerror or "cannot be read") from None


def decode(data: bytes, channels: int) -> Pixels:
    """The image that `data` encodes: (H, W, 3) RGB or (H, W, 1) grey.

    Raises:
        BadImageError: it is not an image of a format that OpenCV reads, is damaged, or is too large.
    """
    if not data:
        raise BadImageError("empty file")
    flags = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        reason = "more than 100 megapixels" if "pixels" in str(error).lower() else "damaged"
        raise BadImageError(reason) from None
    if pixels is None:
        raise BadImageError("damaged, truncated, or no image")
    eight_bit = pixels.astype(np.uint8, copy=False)
    return eight_bit if eight_bit.ndim == 3 else eight_bit[:, :, None]


def is_grey(data: bytes) -> bool:
    """Whether the image has a single channel in its file.

    Raises:
        BadImageError: it cannot be decoded.
    """
    if not data:
        raise BadImageError("empty file")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        raise BadImageError("damaged") from None
    if pixels is None:
        raise BadImageError("damaged, truncated, or no image")
    return pixels.ndim == 2 or pixels.shape[2] == 1
