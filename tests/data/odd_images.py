"""Image files as they lie in real folders, and as somebody makes them who means harm: a few hundred, always the same.

Each is good (training must read it), bad (it must be left out) or either (it is damaged where no format can tell).
"""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64
ENDINGS = ("jpg", "png", "bmp", "webp", "tif", "gif", "avif")
GOOD, BAD, EITHER = "good", "bad", "either"


class Odd(NamedTuple):
    """A file to be made: its name, what must become of it, and its bytes or what makes it."""

    name: str
    fate: str
    content: bytes | Callable[[Path], object]


def picture() -> Image.Image:
    """Colours that change everywhere and are nowhere grey, so that what is filled in shows."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    noise = np.random.default_rng(7).integers(0, 40, (HEIGHT, WIDTH))
    red = 20 + noise + 2 * (x % 20)
    green = 255 - noise - 12 * (y % 16)
    return Image.fromarray(np.stack([red, green, 60 + noise + (x + y) % 40], -1).astype(np.uint8))


def saved(image: Image.Image, kind: str, frames: int = 1, **options: object) -> bytes:
    """The image as a file of Pillow's; turned in the frames or pages after the first."""
    file = io.BytesIO()
    if frames > 1:
        options |= {"save_all": True, "append_images": [image.rotate(180 * i) for i in range(1, frames)]}
    image.copy().save(file, kind, **options)  # Pillow leaves settings of an encoder with the image
    return file.getvalue()


def written(extension: str, pixels: np.ndarray, *options: int) -> bytes:
    """The pixels as a file of OpenCV's."""
    done, data = cv2.imencode(extension, pixels, options)
    assert done
    return data.tobytes()


def whole() -> dict[str, bytes]:
    """Every format and colour mode that is read."""
    rgb = picture()
    grey, alpha = rgb.convert("L"), rgb.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(rgb.size))
    deep = np.asarray(rgb)[:, :, ::-1].astype(np.uint16) * 257
    with_alpha = np.dstack([deep, np.full(deep.shape[:2], 40_000, np.uint16)])
    files = {f"{mode}.png": saved(rgb.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")}
    files |= {f"{mode}.jpg": saved(rgb.convert(mode), "JPEG") for mode in ("L", "RGB", "CMYK")}
    files |= {f"{mode}.tif": saved(rgb.convert(mode), "TIFF") for mode in (
        "1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "F",
    )}  # fmt: skip
    files |= {f"{mode}.bmp": saved(rgb.convert(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")}
    files |= {f"{mode}.gif": saved(rgb.convert(mode), "GIF") for mode in ("1", "L", "P", "RGB")}
    files |= {f"{mode}.webp": saved(rgb.convert(mode), "WEBP") for mode in ("L", "RGB", "RGBA")}
    files |= {f"{mode}.avif": saved(rgb.convert(mode), "AVIF") for mode in ("L", "RGB", "RGBA")}
    files |= {f"{name}.tif": saved(rgb, "TIFF", compression=name) for name in (
        "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg",
    )}  # fmt: skip
    files |= {f"turned-{turn}.jpg": saved(rgb, "JPEG", exif=turned(turn)) for turn in range(1, 10)}
    files |= {f"turned-{turn}.webp": saved(rgb, "WEBP", exif=turned(turn)) for turn in (3, 6)}
    files |= {f"turned-{turn}.png": saved(rgb, "PNG", exif=turned(turn)) for turn in (3, 6)}
    return files | {
        "progressive.jpg": saved(rgb, "JPEG", progressive=True),
        "full-colour.jpg": saved(rgb, "JPEG", subsampling=0, quality=100),
        "restart.jpg": written(".jpg", np.asarray(rgb)[:, :, ::-1], cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        "comment.jpg": saved(rgb, "JPEG", comment=b"\x1b[31m" * 999),
        "profile.jpg": saved(rgb, "JPEG", icc_profile=b"no profile at all" * 99),
        "two.mpo.jpg": saved(rgb, "MPO", frames=3),
        "trailing.jpg": saved(rgb, "JPEG") + b"what a camera adds\xff\xd8" * 99,
        "trailing.png": saved(rgb, "PNG") + bytes(5000),
        "palette-2-bits.png": saved(rgb.quantize(4), "PNG", bits=2),
        "palette-alpha.png": saved(alpha.quantize(16), "PNG"),
        "grey-alpha.png": saved(grey, "PNG", transparency=77),
        "colour-alpha.png": saved(rgb, "PNG", transparency=(1, 2, 3)),
        "deep-grey.png": written(".png", deep[:, :, 1]),
        "deep-grey.tif": written(".tiff", deep[:, :, 1]),
        "whole-numbers.tif": written(".tiff", deep[:, :, 1].astype(np.int32) << 15),
        "deep.png": written(".png", deep),
        "deep-alpha.png": written(".png", with_alpha),
        "moving.png": saved(rgb, "PNG", frames=3),
        "moving.gif": saved(rgb, "GIF", frames=3),
        "moving.webp": saved(rgb, "WEBP", frames=3),
        "moving.avif": saved(rgb, "AVIF", frames=3),
        "pages.tif": saved(rgb, "TIFF", frames=3),
        "alpha.gif": saved(alpha.quantize(16), "GIF", transparency=0),
        "lossless-alpha.webp": saved(alpha, "WEBP", lossless=True),
        "exact.avif": saved(rgb, "AVIF", quality=100, subsampling="4:4:4"),
        "big.tif": saved(rgb, "TIFF", big_tiff=True),
        "fax.tif": saved(rgb.convert("1"), "TIFF", compression="group4"),
        "deep.tif": written(".tiff", deep),
        "deep-alpha.tif": written(".tiff", with_alpha),
        "float.tif": written(".tiff", deep.astype(np.float32) / 65535),
        "double.tif": written(".tiff", deep.astype(np.float64) / 65535),
        "large-alpha.png": written(".png", np.full((1500, 1000, 4), 90, np.uint8)),
        "one.png": saved(Image.new("RGB", (1, 1), "red"), "PNG"),
        "line.png": saved(Image.new("RGB", (20_000, 1), "red"), "PNG"),
        "column.jpg": saved(Image.new("RGB", (1, 20_000), "red"), "JPEG"),
    }


def turned(orientation: int) -> Image.Exif:
    """The tag of a camera; 9 is none that means anything."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def foreign() -> dict[str, bytes]:
    """Formats that are not read, whatever OpenCV makes of them, and what is none."""
    rgb, bgr = picture(), np.asarray(picture())[:, :, ::-1]
    kinds = ("ICO", "PCX", "TGA", "SGI", "PPM", "JPEG2000", "QOI", "DDS", "PDF", "EPS")
    files = {kind: saved(rgb, kind) for kind in kinds}
    files |= {ending: written(f".{ending}", bgr) for ending in ("jp2", "ppm", "ras")}
    files |= {ending: written(f".{ending}", bgr.astype(np.float32) / 255) for ending in ("hdr", "pfm")}
    files |= {ending: written(f".{ending}", bgr[:, :, 0]) for ending in ("pgm", "pbm")}
    files |= {"lab": saved(rgb.convert("RGB").convert("LAB"), "TIFF")}
    return files | {
        "empty": b"",
        "one-byte": b"\xff",
        "zeros": bytes(4096),
        "random": np.random.default_rng(3).bytes(4096),
        "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "zip": b"PK\3\4" + bytes(200),
        "heic": b"\0\0\0\x18ftypheic" + bytes(200),
        "video": b"\0\0\0\x18ftypisom" + bytes(200),
        "jxl": b"\xff\x0a" + bytes(200),
        "photoshop": b"8BPS\0\1" + bytes(200),
        "exr": b"\x76\x2f\x31\x01" + bytes(200),
        "mac": b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(4000),
    }


def damaged(seed: int = 11, flips: int = 8) -> Iterator[Odd]:
    """Files cut short, with flipped bits, with holes, and with their ends put back."""
    files, rng = whole(), np.random.default_rng(seed)
    names = ("RGB.jpg", "L.jpg", "CMYK.jpg", "progressive.jpg", "restart.jpg", "RGB.png", "P.png", "RGB.bmp",
             "RGB.webp", "lossless-alpha.webp", "RGB.gif", "RGB.tif", "tiff_lzw.tif", "tiff_adobe_deflate.tif",
             "RGB.avif", "deep.png", "RGBA.tif")  # fmt: skip
    for name in names:
        data, ending = files[name], name.rpartition(".")[2]
        for part in (0.02, 0.2, 0.5, 0.8, 0.95):
            cut = int(len(data) * part)
            yield Odd(f"cut-{part}-{name}", BAD, data[:cut])
            fate = BAD if ending in ("png", "gif", "avif") else EITHER  # zeros are black to the others
            yield Odd(f"zeros-after-{part}-{name}", fate, data[:cut] + bytes(len(data) - cut))
        for number in range(flips):
            at = int(rng.integers(len(data)))
            changed = bytearray(data)
            changed[at] ^= 1 << int(rng.integers(8))
            yield Odd(f"flip-{number}-{name}", EITHER, bytes(changed))
        middle = len(data) // 2
        yield Odd(f"hole-{name}", EITHER, data[:middle] + bytes(64) + data[middle + 64 :])
        yield Odd(f"lost-{name}", EITHER if ending != "png" else BAD, data[:middle] + data[middle + 64 :])
    yield from _with_gaps(files["restart.jpg"])
    for name in ("RGB.jpg", "L.jpg", "CMYK.jpg", "restart.jpg", "progressive.jpg"):
        data = files[name]
        start = data.index(b"\xff\xda") + 14
        for part in (0.3, 0.6, 0.9):
            cut = start + int((len(data) - start) * part)
            fate = EITHER if name.startswith("prog") else BAD
            yield Odd(f"ended-{part}-{name}", fate, data[:cut].rstrip(b"\xff") + b"\xff\xd9")


def _with_gaps(data: bytes) -> Iterator[Odd]:
    """A JPEG with restart markers, of which one interval is short and the others are whole."""
    marks = [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
    for number, (start, end) in enumerate(pairwise(marks)):
        kept = data[: start + 2 + (end - start) // 5].rstrip(b"\xff")
        yield Odd(f"gap-{number}.jpg", BAD, kept + data[end:])
    # A flipped bit in a marker: what it began is skipped.
    yield Odd("marker.jpg", EITHER, data[: marks[0] + 1] + bytes([data[marks[0] + 1] ^ 4]) + data[marks[0] + 2 :])


def hostile() -> dict[str, bytes]:
    """Small files that would take gigabytes or hours, and files whose parts contradict each other."""
    files = whole()
    jpeg, png, gif, bmp, tiff = (files[f"RGB.{kind}"] for kind in ("jpg", "png", "gif", "bmp", "tif"))
    webp = files["lossless-alpha.webp"]
    frame, side = jpeg.index(b"\xff\xc0") + 5, struct.pack(">HH", 65_000, 65_000)
    progressive = files["progressive.jpg"]
    scans = progressive.index(b"\xff\xda")
    start = jpeg.index(b"\xff\xda")
    deflated = zlib.compress(bytes(50_000_000), 9)
    return {
        "bomb.jpg": jpeg[:frame] + side + jpeg[frame + 4 :],
        "bomb-10-kb.jpg": jpeg[:frame] + side + jpeg[frame + 4 :] + bytes(10_000),
        "empty-frame.jpg": jpeg[:frame] + bytes(4) + jpeg[frame + 4 :],
        "scans.jpg": progressive[:-2] + progressive[scans:-2] * 400 + b"\xff\xd9",
        "no-end.jpg": jpeg[:start] + jpeg[2:start] * 99,
        "markers.jpg": b"\xff\xd8" + b"\xff\xe0\x00\x02" * 50_000 + jpeg[2:-2],
        "bomb.png": png_of(60_000, 60_000, zlib.compress(b"")),
        "wide.png": png_of(2**31 - 1, 1, zlib.compress(b"")),
        "deflate.png": png_of(60, 60, deflated),
        "text.png": png[:33] + chunk(b"zTXt", b"x\0\0" + deflated) + png[33:],
        "profile.png": png[:33] + chunk(b"iCCP", b"x\0\0" + deflated) + png[33:],
        "lengths.png": png[:33] + b"\xff\xff\xff\xff" + png[37:],
        "bomb.gif": gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:],
        "bomb.bmp": bmp[:18] + struct.pack("<ii", 100_000, 100_000) + bmp[26:],
        "negative.bmp": bmp[:18] + struct.pack("<ii", -64, -(2**31)) + bmp[26:],
        "bomb.webp": webp[:24] + b"\xff\x3f\xff\x3f"[: 4] + webp[28:],
        "bomb.tif": _tagged(tiff, 256, 100_000),
        "strips.tif": _tagged(tiff, 278, 1),
        "loop.tif": tiff[:4] + struct.pack("<I", 4) + tiff[8:],
        "bomb.avif": files["RGB.avif"].replace(
            struct.pack(">II", WIDTH, HEIGHT), struct.pack(">II", 65_000, 65_000), 1
        ),
    }  # fmt: skip


def _tagged(tiff: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF with another value for a tag."""
    at = struct.unpack_from("<I", tiff, 4)[0]
    for number in range(struct.unpack_from("<H", tiff, at)[0]):
        place = at + 2 + 12 * number
        if struct.unpack_from("<H", tiff, place)[0] == tag:
            return tiff[: place + 2] + struct.pack("<HII", 4, 1, value) + tiff[place + 12 :]
    raise KeyError(tag)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, deflated: bytes) -> bytes:
    """A PNG that says it is of that size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", deflated) + chunk(b"IEND", b"")


def no_files() -> Iterator[Odd]:
    """What has the name of an image and is no file."""
    yield Odd("pipe.jpg", BAD, os.mkfifo)
    yield Odd("folder.jpg", BAD, Path.mkdir)
    yield Odd("socket.jpg", BAD, _socket)
    for name, target in (("zero", "/dev/zero"), ("null", "/dev/null"), ("terminal", "/dev/tty"), ("nowhere", "none")):
        yield Odd(f"{name}.jpg", BAD, lambda path, target=target: path.symlink_to(target))
    yield Odd("itself.jpg", BAD, lambda path: path.symlink_to(path.name))
    yield Odd("memory.png", BAD, lambda path: path.symlink_to("/proc/self/mem"))


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def odd_images(flips: int = 8, seed: int = 11) -> list[Odd]:
    """All of them."""
    files = whole()
    odd = [Odd(name, GOOD, data) for name, data in files.items()]
    for number, (name, data) in enumerate(files.items()):
        stem, _, ending = name.rpartition(".")
        other = ENDINGS[(ENDINGS.index(ending) + 1 + number % 6) % len(ENDINGS)]
        odd.append(Odd(f"misnamed-{stem}-{ending}.{other}", GOOD, data))
    odd += [Odd(f"foreign-{name}.{ENDINGS[i % 7]}", BAD, data) for i, (name, data) in enumerate(foreign().items())]
    odd += [Odd(f"hostile-{name}", EITHER, data) for name, data in hostile().items()]
    return [*odd, *damaged(seed, flips), *no_files()]


def make(folder: Path, odd: list[Odd]) -> None:
    """Write them into a folder."""
    for name, _, content in odd:
        if callable(content):
            content(folder / name)
        else:
            (folder / name).write_bytes(content)
