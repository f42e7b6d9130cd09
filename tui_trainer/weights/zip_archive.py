"""The directory of a zip file and the bytes of its entries, for torch.save, TorchScript and .pt2 files.

One parser serves listing and loading, so that no two of them can see different files in one archive.
It is stricter than the standard library's: duplicate names, encryption, overlapping entries, and a
local header that disagrees with the directory are refused.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tui_trainer.weights.limits import (
    CANCEL_EVERY,
    MAX_RATIO,
    MAX_RATIO_FREE_BYTES,
    MAX_ZIP_DIRECTORY_BYTES,
    MAX_ZIP_ENTRIES,
    Cancelled,
    UnreadableError,
    stop_if,
)
from tui_trainer.weights.regular_file import FileBytes

_END = struct.Struct("<4s4H2LH")  # end of central directory, 22 bytes
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_COMMENT = 0xFFFF
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED = 0x1
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in the archive, as the directory gives it."""

    name: bytes
    size: int  # bytes, unpacked
    packed_size: int
    header_at: int  # where its local header starts in the file
    crc: int
    deflated: bool


def directory(source: FileBytes, cancelled: Cancelled) -> dict[str, Entry]:
    """The entries of the archive by name; names that are not UTF-8 keep their bytes as surrogates.

    Raises:
        UnreadableError: the directory is damaged, or is one that no honest archive has.
    """
    count, size, start = _end_of_directory(source)
    if count > MAX_ZIP_ENTRIES or size > MAX_ZIP_DIRECTORY_BYTES:
        raise UnreadableError(f"its zip directory is larger than any weight file needs ({count:,} entries)")
    if size < count * _CENTRAL.size:
        raise UnreadableError("its zip directory is damaged (too short for its entries)")
    entries: dict[str, Entry] = {}
    for step, entry in enumerate(_entries(source.at(start, size), count)):
        if step % CANCEL_EVERY == 0:
            stop_if(cancelled)
        name = entry.name.decode("utf-8", "surrogateescape")
        if name in entries:
            raise UnreadableError("its zip directory lists one name twice")
        entries[name] = entry
    _no_overlap(list(entries.values()), start)
    return entries


def _end_of_directory(source: FileBytes) -> tuple[int, int, int]:
    """(entries, bytes, start) of the central directory."""
    tail_size = min(source.size, _END.size + _MAX_COMMENT)
    tail_at = source.size - tail_size
    tail = source.at(tail_at, tail_size)
    found = tail.rfind(b"PK\x05\x06")
    while found >= 0:
        if found + _END.size <= len(tail):
            _, disk, _, here, count, size, start, comment = _END.unpack_from(tail, found)
            if found + _END.size + comment == len(tail):
                break
        found = tail.rfind(b"PK\x05\x06", 0, found)
    else:
        raise UnreadableError("its zip directory is missing: the end of the file is cut off, copy it again")
    if _FULL16 in (count, here, disk) or _FULL32 in (size, start):
        return _end64(source, tail_at + found)
    if disk or here != count:
        raise UnreadableError("it is one part of a zip file in several parts")
    return _within(source, count, size, start, tail_at + found)


def _end64(source: FileBytes, end_at: int) -> tuple[int, int, int]:
    locator_at = end_at - _END64_LOCATOR.size
    signature, disk, end64_at, disks = _END64_LOCATOR.unpack(source.at(locator_at, _END64_LOCATOR.size))
    if signature != b"PK\x06\x07" or disk or disks > 1:
        raise UnreadableError("its zip directory is damaged (zip64 locator)")
    signature, _, _, _, disk, _, here, count, size, start = _END64.unpack(source.at(end64_at, _END64.size))
    if signature != b"PK\x06\x06" or disk or here != count:
        raise UnreadableError("its zip directory is damaged (zip64 end)")
    return _within(source, count, size, start, end64_at)


def _within(source: FileBytes, count: int, size: int, start: int, end_at: int) -> tuple[int, int, int]:
    if start + size > end_at or end_at > source.size:
        raise UnreadableError("its zip directory lies outside of the file")
    return count, size, start


def _entries(data: bytes, count: int) -> Iterator[Entry]:
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(data):
            raise UnreadableError("its zip directory is damaged (too short)")
        fields = _CENTRAL.unpack_from(data, at)
        signature, flags, method, crc = fields[0], fields[3], fields[4], fields[7]
        name_size, extra_size, comment_size = fields[10:13]
        name_at = at + _CENTRAL.size
        at = name_at + name_size + extra_size + comment_size
        if signature != b"PK\x01\x02" or at > len(data):
            raise UnreadableError("its zip directory is damaged")
        if flags & _ENCRYPTED:
            raise UnreadableError("it is an encrypted zip file: save it without a password")
        if method not in (_STORED, _DEFLATED):
            raise UnreadableError(f"it is packed by zip method {method}: only stored and deflated are read")
        extra = data[name_at + name_size : name_at + name_size + extra_size]
        size, packed, header_at = _sizes(fields[9], fields[8], fields[16], extra)
        if method == _STORED and size != packed:
            raise UnreadableError("its zip directory gives two sizes for unpacked data")
        yield Entry(data[name_at : name_at + name_size], size, packed, header_at, crc, method == _DEFLATED)


def _sizes(size: int, packed: int, header_at: int, extra: bytes) -> tuple[int, int, int]:
    """Unpacked size, packed size and header position, from the zip64 field where 32 bits were too few."""
    if _FULL32 not in (size, packed, header_at):
        return size, packed, header_at
    wide = iter(_zip64_numbers(extra))
    try:
        size = next(wide) if size == _FULL32 else size
        packed = next(wide) if packed == _FULL32 else packed
        header_at = next(wide) if header_at == _FULL32 else header_at
    except StopIteration:
        raise UnreadableError("its zip directory is damaged (zip64 sizes)") from None
    return size, packed, header_at


def _zip64_numbers(extra: bytes) -> tuple[int, ...]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            body = extra[at + 4 : at + 4 + size]
            return struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8])
        at += 4 + size
    return ()


def _no_overlap(entries: list[Entry], directory_at: int) -> None:
    """Entries that share bytes make a small file unpack to a huge one."""
    entries.sort(key=lambda entry: entry.header_at)
    starts = [*(entry.header_at for entry in entries[1:]), directory_at]
    for entry, next_start in zip(entries, starts, strict=False):
        if entry.header_at + _LOCAL.size + len(entry.name) + entry.packed_size > next_start:
            raise UnreadableError("its zip entries overlap")


def data_at(source: FileBytes, name: bytes, header_at: int) -> int:
    """Where the bytes of the entry `name` start, by its local header, which must agree about the name."""
    fields = _LOCAL.unpack(source.at(header_at, _LOCAL.size))
    signature, flags, name_size, extra_size = fields[0], fields[2], fields[9], fields[10]
    found = source.at(header_at + _LOCAL.size, name_size)
    if signature != b"PK\x03\x04" or found != name or flags & _ENCRYPTED:
        raise UnreadableError("its zip directory and its entries disagree")
    return header_at + _LOCAL.size + int(name_size) + int(extra_size)


def inflate(packed: bytes, size: int) -> bytes:
    """`packed` unpacked, which must give exactly `size` bytes; no more than that is ever made."""
    check_ratio(size, len(packed))
    unpacker = zlib.decompressobj(-15)
    try:
        data = unpacker.decompress(packed, size) if size else b""
        rest = unpacker.decompress(unpacker.unconsumed_tail, 1)
    except zlib.error:
        raise UnreadableError("its packed data is damaged") from None
    if len(data) != size or rest:
        raise UnreadableError("its packed data has another size than its directory says")
    return data


def check_ratio(size: int, packed_size: int, most: int = MAX_RATIO, free: int = MAX_RATIO_FREE_BYTES) -> None:
    """Refuses packed data that claims to unpack to far more than weights ever do."""
    if size > free and size > most * max(packed_size, 1):
        raise UnreadableError(f"its packed data unpacks to over {most} times its size (a zip bomb?)")


def read_entry(source: FileBytes, entry: Entry, most: int) -> bytes:
    """The whole content of a small entry, checked by its CRC where the file has one.

    Raises:
        UnreadableError: it is damaged, or larger than `most` bytes.
    """
    if entry.size > most:
        raise UnreadableError(f"one of its parts takes {entry.size:,} bytes, more than {most:,}")
    raw = source.at(data_at(source, entry.name, entry.header_at), entry.packed_size)
    data = inflate(raw, entry.size) if entry.deflated else raw
    if entry.crc and zlib.crc32(data) != entry.crc:
        raise UnreadableError("its checksum does not match: the file is damaged, copy it again")
    return data
