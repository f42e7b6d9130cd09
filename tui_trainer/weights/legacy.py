"""torch.save before 1.6: five pickles one after the other, then the bytes of each storage.

magic number, protocol, system info, the object, list of storage keys; then for each key in that list
8 bytes with the count of numbers, and the numbers.
"""

from __future__ import annotations

import struct

from tui_trainer.weights.contents import StoredBytes, TensorInfo
from tui_trainer.weights.dtypes import BYTES
from tui_trainer.weights.layout import placed
from tui_trainer.weights.limits import (
    CANCEL_EVERY,
    MAX_OPCODES,
    MAX_PICKLE_BYTES,
    MAX_TENSORS,
    Cancelled,
    UnreadableError,
    stop_if,
)
from tui_trainer.weights.pickle_records import OpcodeStream, described
from tui_trainer.weights.records import StorageRef, Value
from tui_trainer.weights.regular_file import FileBytes, Window
from tui_trainer.weights.search import Found, Search
from tui_trainer.weights.torch_archive import Listing, format_name

MAGIC = 0x1950A86A20F9469CFC6C
MAGIC_BYTES = MAGIC.to_bytes(10, "little")
_PROTOCOL = 1001


class _Pickles:
    """The pickles at the start of the file, one after the other."""

    def __init__(self, source: FileBytes, cancelled: Cancelled) -> None:
        self._source = source
        self._cancelled = cancelled
        self._opcodes = MAX_OPCODES  # that are left to all of them together
        self.at = 0
        self.foreign: dict[str, None] = {}
        self.storages: dict[str, StorageRef] = {}

    def next(self) -> Value:
        stream = OpcodeStream(Window(self._source, self.at, MAX_PICKLE_BYTES))
        value, machine = described(stream, self._cancelled, self._opcodes)
        self._opcodes -= machine.opcodes
        self.at += stream.position()
        self.foreign |= machine.foreign
        self.storages |= machine.storages
        return value


def list_legacy(source: FileBytes, cancelled: Cancelled) -> Listing:
    """The tensors of a file in torch's format before 1.6.

    Raises:
        UnreadableError: it is damaged or cut off.
    """
    pickles = _Pickles(source, cancelled)
    if pickles.next() != MAGIC:
        raise UnreadableError("its first bytes are not those of a torch file")
    if pickles.next() != _PROTOCOL:
        raise UnreadableError("it is of a version of the old format that is not read: load and save it with torch 2")
    big_endian = _is_big_endian(pickles.next())
    root = pickles.next()
    keys = pickles.next()
    if not isinstance(keys, list) or len(keys) > MAX_TENSORS or not all(isinstance(key, str) for key in keys):
        raise UnreadableError("its list of storages is damaged")
    search = Search(cancelled)
    found = search.run(root)
    widths = {key: BYTES.get(storage.dtype, 0) for key, storage in pickles.storages.items()}
    stored = _storages(source, pickles.at, [str(key) for key in keys], widths, big_endian, cancelled)
    groups = [(group, _tensors(group, stored)) for group in found]
    return Listing(format_name(root, groups, "legacy"), groups, search.class_names, tuple(pickles.foreign))


def list_bare_pickle(source: FileBytes, cancelled: Cancelled) -> Listing:
    """What a pickle without storages holds; it has no numbers that could be loaded.

    Raises:
        UnreadableError: always, with what it is.
    """
    described(OpcodeStream(Window(source, 0, MAX_PICKLE_BYTES)), cancelled)
    raise UnreadableError("it is a plain pickle, not written by torch.save: save it anew with torch.save")


def _is_big_endian(info: Value) -> bool:
    little = info.get("little_endian", True) if isinstance(info, dict) else True
    return little is False


def _storages(
    source: FileBytes, at: int, keys: list[str], widths: dict[str, int], big_endian: bool, cancelled: Cancelled
) -> dict[str, StoredBytes]:
    """Where each storage's bytes lie. A storage of unknown width ends the walk: what follows it is not found."""
    result: dict[str, StoredBytes] = {}
    for step, key in enumerate(keys):
        if step % CANCEL_EVERY == 0:
            stop_if(cancelled)
        width = widths.get(key, 0)
        if not width or at + 8 > source.size:
            break
        (numel,) = struct.unpack(">q" if big_endian else "<q", source.at(at, 8))
        if numel < 0 or at + 8 + numel * width > source.size:
            break
        result[key] = StoredBytes(key=key, size=numel * width, start=at + 8, big_endian=big_endian)
        at += 8 + numel * width
    return result


def _tensors(group: Found, stored: dict[str, StoredBytes]) -> tuple[TensorInfo, ...]:
    return tuple(
        placed(name, record, stored.get(record.storage.key) if record.storage else None)
        for name, record in group.tensors.items()
    )
