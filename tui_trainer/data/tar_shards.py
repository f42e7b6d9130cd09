"""Sharded tar in the layout of the webdataset library, local or behind HTTP. No torch here.

Files of one name and several endings are one sample: `cat/7.jpg`, `cat/7.cls`, `cat/7.json`. What a plan needs is read
from the headers; blocks are read by webdataset itself. Nothing is unpickled, and no command is run for a URL.
"""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

from tui_trainer.data.json_lines import values_or_reason
from tui_trainer.data.plan import Place, Plan
from tui_trainer.data.raw import Raw, Walked
from tui_trainer.data.stream_files import (
    GONE,
    Shards,
    State,
    UnreadableError,
    base_of,
    in_words,
    is_packed,
    is_remote,
    open_at,
)
from tui_trainer.data.walk import EXTENSIONS
from tui_trainer.errors import ConfigError
from tui_trainer.text import display

if TYPE_CHECKING:
    from typing_extensions import Self

ENDINGS = (".tar", ".tar.gz", ".tgz")
IMAGES = tuple(one.decode()[1:] for one in EXTENSIONS)
TEXTS = ("cls", "cls2", "txt", "index", "label", "target")
_KINDS = dict.fromkeys(IMAGES, "image") | dict.fromkeys(TEXTS, "text") | {"json": "json"}
SMALL = 1 << 20  # bytes of a member that is read for the plan
REGULAR = b"0\0"  # kinds of a member that is a file
DIGITS = b" 01234567"
HEADER = struct.Struct("100s24x12s20xB188xB")  # of a member: name, size, kind, first byte of a long name's begin
END = bytes(1024)  # of an archive


class TarShards:
    """Samples of tar files; a sample is called by its file and key."""

    unit = "samples"

    def __init__(self, source: str) -> None:
        try:
            import webdataset  # noqa: F401 - said before anything is read
        except ImportError:
            raise ConfigError('Tar shards need the webdataset library: pip install "tui-trainer[tar]".') from None
        self.source, self.base = source, base_of(source)
        self.files = Shards(source)
        self.whole_files = self.files.packed

    def walk(self, columns: tuple[str, ...] = ()) -> Iterator[Walked]:
        """Every sample in order, images by their first bytes only."""
        for file, place in enumerate(self.files.places):
            count = 0
            try:
                for at, key, values, reason in _samples(place, file):
                    count += 1
                    yield Walked(at, self._name(file, key), None if reason else values, reason)
            except (*GONE, tarfile.TarError) as error:
                after = f" after {count} samples" if count else ""
                yield Walked(None, self.files.names[file], None, f"{in_words(error)}{after}")

    def read(self, plan: Plan, block: int, lane: int = 0) -> list[Raw]:
        """The samples of a block.

        Raises:
            UnreadableError: the file cannot be read there.
        """
        from webdataset import tariterators

        file, first = int(plan.file[block]), int(plan.first[block])
        data = self.files.read(lane, file, int(plan.start[block]), int(plan.end[block])) + END
        try:
            samples = _plain(data)
            if not samples:
                members = tariterators.tar_file_iterator(io.BytesIO(data))
                samples = list(tariterators.group_by_keys({**one, "__url__": ""} for one in members))
        except (*GONE, tarfile.TarError, ValueError) as error:
            raise UnreadableError(in_words(error)) from None
        base, name = (file << 40) + first, self.files.names[file] + b":"
        keys = [name + one["__key__"].encode("utf-8", "surrogateescape") for one in samples]
        return [Raw(base + number, key, one) for number, (key, one) in enumerate(zip(keys, samples, strict=True))]

    def values(self, data: Any) -> Mapping[str, Any]:
        """What the members of a sample say.

        Raises:
            ValueError: one cannot be understood.
        """
        values, reason = _understood(data)
        if reason:
            raise ValueError(reason)
        return values

    def _name(self, file: int, key: str) -> bytes:
        return b"%s:%s" % (self.files.names[file], key.encode("utf-8", "surrogateescape"))

    def state(self) -> list[State] | None:
        """What changes when a file does."""
        return self.files.state()

    def close(self) -> None:
        """Close the files."""
        self.files.close()

    def __str__(self) -> str:
        return display(self.source)


class _Header(tarfile.TarInfo):
    """A header that is damaged is an error, where tarfile takes it for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """What a block of 512 bytes says."""
        try:
            return super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"a damaged header ({error})") from None


def _samples(place: str, file: int) -> Iterator[tuple[Place, str, dict[str, Any], str]]:
    """Place, key, values, and what is wrong; a member belongs to the sample whose key it has."""
    stream, _ = open_at(place)
    number, start, end, key = 0, 0, 0, ""
    members: dict[str, Any] = {}
    with stream:
        for at, until, name, suffix, data in _members(stream, seekable=not is_remote(place) and not is_packed(place)):
            if name != key and members:
                yield Place(file, start, end, number), key, *_understood(members)
                number += 1
                members = {}
            if not members:
                start, key = at, name
            members[suffix] = data
            end = until
        if members:
            yield Place(file, start, end, number), key, *_understood(members)


def _members(stream: IO[bytes], *, seekable: bool) -> Iterator[tuple[int, int, str, str, bytes]]:
    """Begin and end of each member, its key and ending, and its content, of what is not small the first bytes."""
    from webdataset.tariterators import base_plus_ext

    with tarfile.open(fileobj=stream, mode="r:" if seekable else "r|", tarinfo=_Header) as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined] # else it keeps every header
            name, suffix = base_plus_ext(member.name)
            content = archive.extractfile(member) if member.isreg() and name is not None else None
            if content is None or member.name.startswith("__"):
                continue
            small = member.size <= SMALL and not suffix.lower().endswith(IMAGES)
            data = content.read(SMALL if small else 32)
            until = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            yield member.offset, until, name, suffix.lower(), data


def _plain(data: bytes) -> list[dict[str, Any]]:
    """The samples of a piece of an archive, if no header, checked for the plan, says more than a short name and a size.

    The library takes 35 microseconds for a sample, which is more than a small image takes to decode.
    """
    samples: list[dict[str, Any]] = []
    prefix, at = b"", 0
    while at < len(data) and data[at]:
        name, digits, kind, long_name = HEADER.unpack_from(data, at)
        if kind not in REGULAR or long_name or digits[0] not in DIGITS:  # as those of a large size
            return []
        size, begin = _octal(digits), at + tarfile.BLOCKSIZE
        name = name.partition(b"\0")[0]
        if samples and name.startswith(prefix) and b"/" not in name[len(prefix) :]:
            samples[-1][name[len(prefix) :].decode("utf-8", "surrogateescape").lower()] = data[begin : begin + size]
        else:
            key, suffix = _split(name.decode("utf-8", "surrogateescape"))
            if key is not None:
                samples.append({"__key__": key, suffix: data[begin : begin + size]})
                prefix = key.encode("utf-8", "surrogateescape") + b"."
        at = begin + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return samples


def _octal(digits: bytes) -> int:
    """A number of a header."""
    return int(digits[:11] if digits[11] == 0 and digits[10] else digits.strip(b" \0"), 8)


def _split(name: str) -> tuple[str | None, str]:
    """Key and ending of a member, as the library finds them in twice the time; no key for what belongs to no sample."""
    if name.startswith("__"):
        return None, ""
    folder, slash, last = name.rpartition("/")
    base, dot, suffix = last.partition(".")
    if base and dot and "\n" not in name:
        return folder + slash + base, suffix.lower()
    from webdataset.tariterators import base_plus_ext

    key, suffix = base_plus_ext(name)
    return key, "" if key is None else suffix.lower()


def _understood(members: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Columns: an image's bytes, texts and whole numbers, and what a JSON member holds; or what is wrong."""
    values: dict[str, Any] = {}
    for suffix, data in members.items():
        kind = _KINDS.get(suffix) or _KINDS.get(suffix.rpartition(".")[2])
        if kind is None or suffix.startswith("__"):
            continue
        if kind == "image":
            values["image" if suffix in IMAGES else suffix] = data
        elif kind == "text":
            values[suffix] = data.decode("utf-8", "replace").strip()
        else:
            found, reason = values_or_reason(data)
            if found is None:
                return {}, f"its json member is {reason}"
            values |= found
    return values, ""
