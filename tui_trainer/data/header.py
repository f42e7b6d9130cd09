"""What the first bytes of an image file say: format, size, orientation, colours. Nothing is decoded.

Own code rather than Pillow's, because it runs for each image of each epoch: 3 microseconds for a JPEG against 60, and
a hostile file meets forty lines here instead of forty format plugins. The name of a file says nothing here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

MEGAPIXELS = 100.0  # a 10 KB JPEG can claim 10^9 pixels and take 6 GB
MAX_SCANS = 200  # of a progressive JPEG; each costs a pass over the whole picture, cameras write 10
MAX_TAGS = 4096  # of a TIFF directory
_ORIENTATION, _SIDEWAYS = 274, (5, 6, 7, 8)
_FOREIGN = (  # what stands at the start of files that are mistaken for images, and their name
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\1\0", "an icon"),
    (b"P4", "a PNM image"),
    (b"P5", "a PNM image"),
    (b"P6", "a PNM image"),
    (b"%PDF", "a PDF"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"<?xml", "an XML or SVG file"),
    (b"<svg", "an SVG file"),
    (b"<!DOCTYPE", "an HTML page"),
    (b"<!doctype", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"version https://git-lfs", "a Git LFS pointer: run git lfs pull"),
)


class BadImageError(Exception):
    """A file that is no image, or a damaged one; the text says why."""


class NoRoomError(BadImageError):
    """A file for which there was too little memory at that moment, which says nothing of it."""


class Header(NamedTuple):
    """What a file says of itself.

    `width`, `height`: pixels of the upright picture, `orientation` applied. `orientation`: 1 to 8 as
    EXIF counts. `mode`: grey, colour, palette, cmyk or lab. `bits` a channel. `grey`: all its colours are.
    `height_at`: where a JPEG of one scan from top to bottom states its height; 0 for all others.
    """

    format: str  # jpeg, png, webp, bmp, gif, tiff or avif
    width: int
    height: int
    orientation: int
    mode: str
    bits: int
    alpha: bool
    grey: bool
    height_at: int = 0

    @property
    def pixels(self) -> int:
        """How many it claims."""
        return self.width * self.height


def header(data: bytes) -> Header:
    """The header of an image file; `data` may be its beginning only.

    Raises:
        BadImageError: it is not of a format that is read here, or ends within the header.
    """
    parse = _parser(data)
    if parse is None:
        raise BadImageError(_foreign(data))
    try:
        found = parse(data)
    except (struct.error, LookupError, ValueError, OverflowError):
        raise BadImageError("damaged or truncated") from None
    if found.width < 1 or found.height < 1:
        raise BadImageError("damaged or truncated")
    if found.orientation in _SIDEWAYS:
        return found._replace(width=found.height, height=found.width)
    return found


def _parser(data: bytes) -> Callable[[bytes], Header] | None:
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return _gif
    if data[4:8] == b"ftyp" and b"avi" in data[8 : int.from_bytes(data[:4], "big")]:
        return _avif
    return _bmp if data.startswith(b"BM") else None


def _foreign(data: bytes) -> str:
    if not data:
        return "empty file"
    if not data.strip(b"\0"):
        return "nothing but zeros"
    if data[4:8] == b"ftyp":
        return "a HEIC image or a video, which is not read: convert it to JPEG"
    for start, name in _FOREIGN:
        if data.lstrip()[: len(start)] == start or data.startswith(start):
            return f"{name}, which is not read" if ":" not in name else name
    return "no image"


def _jpeg(data: bytes) -> Header:
    at, orientation = 2, 1
    while True:
        at = data.index(b"\xff", at)
        marker = data[at + 1]
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (0xD9, 0xDA):
            raise ValueError("no frame")
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            one_scan = _is_one_scan(data, at, marker, components)
            if not one_scan and data.count(b"\xff\xda", at) > MAX_SCANS:
                raise ValueError("scans")
            mode = {1: "grey", 4: "cmyk"}.get(components, "colour")
            height_at = at + 5 if one_scan else 0
            return Header("jpeg", width, height, orientation, mode, bits, False, components == 1, height_at)
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _exif(data[at + 10 : at + 2 + length])
        at += 2 + length


def _is_one_scan(data: bytes, at: int, frame: int, components: int) -> bool:
    """Whether decoding ends with the first scan, as in nearly all files: counting looks at every byte."""
    if frame > 0xC1:
        return False
    while at + 4 < len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at + 4 < len(data) and data[at : at + 2] == b"\xff\xda" and data[at + 4] == components


def _png(data: bytes) -> Header:
    kind, width, height, bits, colour = struct.unpack_from(">4sIIBB", data, 12)
    if kind != b"IHDR":
        raise ValueError("no header")
    alpha, grey, orientation, at = colour in (4, 6), colour in (0, 4), 1, 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"tRNS":
            alpha = True
        elif kind == b"PLTE" and colour == 3:
            grey = _grey_palette(data[at + 8 : at + 8 + length], 3)
        elif kind == b"eXIf":
            orientation = _exif(data[at + 8 : at + 8 + length])
        at += 12 + length
    mode = {0: "grey", 3: "palette", 4: "grey"}.get(colour, "colour")
    return Header("png", width, height, orientation, mode, bits, alpha, grey)


def png_is_whole(data: bytes) -> bool:
    """Whether every chunk ends within the file: libpng takes the memory that a chunk claims, up to 4 GB."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if kind == b"IEND":
            return bool(at <= len(data))
    return False


def _webp(data: bytes) -> Header:
    kind, orientation = data[12:16], 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("webp", width & 0x3FFF, height & 0x3FFF, 1, "colour", 8, False, False)
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        size = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        return Header("webp", *size, 1, "colour", 8, bool(packed >> 28 & 1), False)
    if kind != b"VP8X":
        raise ValueError("no frame")
    flags = data[20]
    width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    at = 30
    while flags & 8 and at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            orientation = _exif(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + (length & 1)
    # The first frame of an animation may have transparent parts without the flag of the file.
    return Header("webp", width, height, orientation, "colour", 8, bool(flags & 0x12), False)


def _bmp(data: bytes) -> Header:
    (offset, size) = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    entry = 3 if size == 12 else 4
    palette = data[14 + size : min(offset, 14 + size + (entry << bits))] if bits <= 8 else b""
    grey = bits <= 8 and _grey_palette(palette, entry)
    mode = "colour" if bits > 8 else "grey" if grey else "palette"
    return Header("bmp", width, abs(height), 1, mode, 8, bits == 32, grey)


def _gif(data: bytes) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    grey = bool(flags & 0x80) and _grey_palette(data[13 : 13 + (6 << (flags & 7))], 3)
    return Header("gif", width, height, 1, "palette", 8, True, grey)


def _avif(data: bytes) -> Header:
    """The boxes of properties are looked for by name; of several sizes (tiles, thumbnails) the largest holds."""
    end = data.find(b"mdat")
    meta = data[: end if end >= 0 else len(data)]
    sizes, at = [], meta.find(b"ispe")
    while at >= 0:
        sizes.append(struct.unpack_from(">II", meta, at + 8))
        at = meta.find(b"ispe", at + 4)
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    at = meta.find(b"av1C")
    flags = meta[at + 6] if at >= 0 else 0
    turn, mirror = meta.find(b"irot"), meta.find(b"imir")
    quarter = meta[turn + 4] & 3 if turn >= 0 else 0
    axis = meta[mirror + 4] & 1 if mirror >= 0 else None
    bits = 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8
    # Quarters are anticlockwise and come before the mirror (ISO/IEC 23008-12), EXIF counts both at once.
    orientation = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}[axis][quarter]
    grey = bool(flags & 0x10)
    return Header("avif", width, height, orientation, "grey" if grey else "colour", bits, b"auxC" in meta, grey)


def _tiff(data: bytes) -> Header:
    tags = _directory(data)
    width, height, bits, photometric = tags[256], tags[257], tags.get(258, 1), tags.get(262, 1)
    samples = tags.get(277, 1)
    if tags.get(322, 0) * tags.get(323, 0) > 4 * width * height + (1 << 20):
        raise ValueError("tiles")
    colours = {0: 1, 1: 1, 3: 1, 5: 4}.get(photometric, 3)
    mode = {0: "grey", 1: "grey", 3: "palette", 5: "cmyk", 8: "lab", 9: "lab"}.get(photometric, "colour")
    return Header("tiff", width, height, _known(tags), mode, bits, samples > colours, mode == "grey")


def _exif(data: bytes) -> int:
    """The orientation in an EXIF block; 1 if it is damaged, as cameras and programs often leave it."""
    try:
        return _known(_directory(data))
    except (struct.error, KeyError, ValueError):
        return 1


def _known(tags: dict[int, int]) -> int:
    orientation = tags.get(_ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1


def _directory(data: bytes) -> dict[int, int]:
    """The first value of each whole-number tag of the first directory of a TIFF or BigTIFF."""
    end = {b"II": "<", b"MM": ">"}.get(data[:2])
    if end is None:
        raise ValueError("byte order")
    big = data[2:4] in (b"+\0", b"\0+")
    (at,) = struct.unpack_from(end + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(end + ("Q" if big else "H"), data, at)
    if count > MAX_TAGS:
        raise ValueError("tags")
    at += 8 if big else 2
    entry, inline = struct.Struct(end + ("HHQ8s" if big else "HHI4s")), 8 if big else 4
    tags: dict[int, int] = {}
    for number in range(count):
        tag, kind, length, value = entry.unpack_from(data, at + number * entry.size)
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if form is None or not length:
            continue
        if struct.calcsize(form) * length > inline:
            (where,) = struct.unpack(end + ("Q" if big else "I"), value)
            value = data[where : where + 8]
        if len(value) >= struct.calcsize(form):
            tags[tag] = struct.unpack_from(end + form, value)[0]
    return tags


def _grey_palette(palette: bytes, entry: int) -> bool:
    """Whether red, green and blue of each entry are equal."""
    whole = palette[: len(palette) // entry * entry]
    return bool(whole) and whole[0::entry] == whole[1::entry] == whole[2::entry]
