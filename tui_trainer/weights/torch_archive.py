"""Zip files that torch writes: torch.save since 1.6, TorchScript, and torch.export's .pt2."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from tui_trainer.weights import sniff
from tui_trainer.weights.contents import StoredBytes, TensorInfo
from tui_trainer.weights.dtypes import EXPORTED
from tui_trainer.weights.layout import placed
from tui_trainer.weights.limits import (
    MAX_DIRECTORY_PICKLE_RATIO,
    MAX_JSON_BYTES,
    MAX_PICKLE_BYTES,
    MAX_TENSORS,
    MIB,
    Cancelled,
    UnreadableError,
    stop_if,
)
from tui_trainer.weights.pickle_records import OpcodeStream, described
from tui_trainer.weights.records import TensorRecord, Value
from tui_trainer.weights.regular_file import FileBytes
from tui_trainer.weights.search import Found, Search
from tui_trainer.weights.strict_json import parsed
from tui_trainer.weights.torch_names import natural, naturals
from tui_trainer.weights.zip_archive import Entry, check_ratio, directory, read_entry

_CODE = re.compile(r"^class (\w+)\(Module\):\n  __parameters__ = \[([^\]\n]*)\]\n  __buffers__ = \[([^\]\n]*)\]", re.M)
_QUOTED = re.compile(r'"([^"\n]*)"')
_MAX_CODE_BYTES = 32 * MIB  # of all TorchScript source files together


@dataclass
class Listing:
    """What was found in a file, before one group is chosen."""

    format: str
    groups: list[tuple[Found, tuple[TensorInfo, ...]]]
    class_names: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    metadata: dict[str, str] | None = None


class Archive:
    """An open archive: its entries, the folder they are all in, and the order of its numbers' bytes."""

    def __init__(self, source: FileBytes, cancelled: Cancelled) -> None:
        self.source = source
        self.entries = directory(source, cancelled)
        self._root = _root(self.entries)
        self.big_endian = self._is_big_endian()

    def entry(self, name: str) -> Entry | None:
        """The entry `name` of the archive's folder."""
        return self.entries.get(self._root + name)

    def has(self, prefix: str) -> bool:
        """Whether any entry of the archive's folder starts with `prefix`."""
        return any(name.startswith(self._root + prefix) for name in self.entries)

    def text(self, name: str, most: int) -> bytes:
        """The whole content of a small entry."""
        entry = self.entry(name)
        if entry is None:
            raise UnreadableError(f"it lacks its {name}")
        check_ratio(entry.size, entry.packed_size, MAX_DIRECTORY_PICKLE_RATIO, MIB)
        return read_entry(self.source, entry, most)

    def stored(self, name: str, key: str) -> StoredBytes | None:
        """Where the bytes of the entry `name` lie."""
        entry = self.entry(name)
        if entry is None:
            return None
        return StoredBytes(
            key=key,
            size=entry.size,
            start=entry.header_at,
            entry=entry.name,
            packed_size=entry.packed_size,
            deflated=entry.deflated,
            crc=entry.crc,
            big_endian=self.big_endian,
        )

    def _is_big_endian(self) -> bool:
        entry = self.entry("byteorder")
        order = read_entry(self.source, entry, 100).strip() if entry else b"little"
        if order not in (b"little", b"big"):
            raise UnreadableError("it states a byte order that is neither little nor big")
        return order == b"big"


def _root(entries: dict[str, Entry]) -> str:
    """The folder within the archive that holds data.pkl, or a .pt2's archive_format."""
    roots = {name.split("/")[0] + "/" for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")}
    roots |= {name[: -len("archive_format")] for name in entries if name.endswith("/archive_format")}
    if len(roots) > 1:
        raise UnreadableError("it holds two checkpoints in one zip file: which one is meant cannot be told")
    return roots.pop() if roots else ""


def list_archive(source: FileBytes, cancelled: Cancelled) -> Listing:
    """The tensors of a zip file that torch wrote.

    Raises:
        UnreadableError: it is damaged, or a zip file of another kind.
    """
    archive = Archive(source, cancelled)
    if archive.entry("archive_format") or archive.has("models/"):
        return _list_exported(archive, cancelled)
    if archive.entry("data.pkl") is None:
        raise UnreadableError(sniff.about_zip(list(archive.entries)))
    return _list_pickled(archive, cancelled)


def _list_pickled(archive: Archive, cancelled: Cancelled) -> Listing:
    stream = OpcodeStream(io.BytesIO(archive.text("data.pkl", MAX_PICKLE_BYTES)))
    root, machine = described(stream, cancelled)
    scripted = archive.entry("constants.pkl") is not None or archive.has("code/")
    search = Search(cancelled, _ScriptCode(archive) if scripted else None)
    groups = [(found, _tensors(archive, found, cancelled)) for found in search.run(root)]
    name = "TorchScript" if scripted else format_name(root, groups, "zip")
    return Listing(name, groups, search.class_names, tuple(machine.foreign))


def format_name(root: Value, groups: list[tuple[Found, tuple[TensorInfo, ...]]], container: str) -> str:
    """How the screens call a pickled file: by what lies at its root."""
    if any(found.path == "" and found.module for found, _ in groups):
        return f"pickled module ({container})"
    if any(found.path == "" and found.tensors for found, _ in groups):
        return f"state_dict ({container})"
    return f"checkpoint ({container})"


def _tensors(archive: Archive, found: Found, cancelled: Cancelled) -> tuple[TensorInfo, ...]:
    known: dict[str, StoredBytes | None] = {}
    result = []
    for name, record in found.tensors.items():
        stop_if(cancelled)
        key = record.storage.key if record.storage else ""
        if record.storage and key not in known:
            known[key] = archive.stored(f"data/{key}", key)
        result.append(placed(name, record, known.get(key)))
    return tuple(result)


class _ScriptCode:
    """Which attributes of a TorchScript class are parameters or buffers, by the source in the archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._left = _MAX_CODE_BYTES
        self._known: dict[str, dict[str, frozenset[str]]] = {}

    def __call__(self, qualified: str) -> frozenset[str] | None:
        module, _, name = qualified.rpartition(".")
        if module not in self._known:
            self._known[module] = self._read(f"code/{module.replace('.', '/')}.py")
        return self._known[module].get(name)

    def _read(self, path: str) -> dict[str, frozenset[str]]:
        entry = self._archive.entry(path)
        if entry is None or entry.size > self._left:
            return {}
        self._left -= entry.size
        text = read_entry(self._archive.source, entry, self._left + entry.size).decode("utf-8", "replace")
        return {
            match[1]: frozenset(_QUOTED.findall(match[2]) + _QUOTED.findall(match[3])) for match in _CODE.finditer(text)
        }


# .pt2


def _list_exported(archive: Archive, cancelled: Cancelled) -> Listing:
    config = "data/weights/model_weights_config.json"
    if archive.entry(config) is None:
        raise UnreadableError("it is a torch.export file without readable weights: save the model's state_dict instead")
    weights = parsed(archive.text(config, MAX_JSON_BYTES)).get("config")
    if not isinstance(weights, dict) or len(weights) > MAX_TENSORS:
        raise UnreadableError("its list of weights is damaged")
    found = Found("", "weights")
    tensors = []
    for name, details in weights.items():
        stop_if(cancelled)
        tensors.append(_exported_tensor(archive, name, details))
    return Listing("pt2", [(found, tuple(tensors))])


def _exported_tensor(archive: Archive, name: str, details: object) -> TensorInfo:
    path = details.get("path_name") if isinstance(details, dict) else None
    try:
        record = _exported_record(details, str(path))
    except UnreadableError as error:
        return placed(name, TensorRecord(None, "unknown", (), (), problem=str(error)), None)
    return placed(name, record, archive.stored(f"data/weights/{path}", str(path)))


def _exported_record(details: object, path: str) -> TensorRecord:
    meta = details.get("tensor_meta") if isinstance(details, dict) else None
    if not isinstance(details, dict) or not isinstance(meta, dict):
        raise UnreadableError("it is not described")
    if details.get("use_pickle") is not False:
        raise UnreadableError("its numbers are in a pickle of their own, which is not read")
    dtype = EXPORTED.get(natural(meta.get("dtype"), "number format"), "")
    shape = naturals(_as_ints(meta.get("sizes")), "shape")
    stride = naturals(_as_ints(meta.get("strides")), "stride")
    offset = natural(_as_int(meta.get("storage_offset")), "offset")
    return TensorRecord(None, dtype, shape, stride, offset)


def _as_int(value: object) -> object:
    return value.get("as_int") if isinstance(value, dict) else value


def _as_ints(values: object) -> object:
    return [_as_int(value) for value in values] if isinstance(values, list) else values
