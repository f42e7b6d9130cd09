"""Pickles assembled opcode by opcode, and the containers torch puts them in."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

PROTO2 = b"\x80\x02"
STOP = b"."
MARK = b"("
MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
PROTOCOL = b"\x80\x02M\xe9\x03."


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def real(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)


def name(module: str, attribute: str) -> bytes:
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def row(*items: bytes) -> bytes:
    return MARK + b"".join(items) + b"t"


def numbers(*values: int) -> bytes:
    return row(*map(number, values))


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + row(*arguments) + b"R"


def table(**items: bytes) -> bytes:
    return mapping([(text(key), value) for key, value in items.items()])


def mapping(items: list[tuple[bytes, bytes]]) -> bytes:
    return b"}" + MARK + b"".join(key + value for key, value in items) + b"u"


def storage(key: str = "0", numel: int = 4, kind: str = "FloatStorage") -> bytes:
    return row(text("storage"), name("torch", kind), text(key), text("cpu"), number(numel)) + b"Q"


def tensor(
    shape: bytes | tuple[int, ...] = (4,),
    stride: bytes | tuple[int, ...] = (1,),
    offset: bytes | int = 0,
    held: bytes | None = None,
) -> bytes:
    shape = shape if isinstance(shape, bytes) else numbers(*shape)
    stride = stride if isinstance(stride, bytes) else numbers(*stride)
    offset = offset if isinstance(offset, bytes) else number(offset)
    hooks = call(name("collections", "OrderedDict"))
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    return call(rebuild, storage() if held is None else held, offset, shape, stride, b"\x89", hooks)


def pickled(value: bytes) -> bytes:
    return PROTO2 + value + STOP


def archive(pickle: bytes, records: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file as torch.save writes it, with four float32 numbers as its only storage."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as zipped:
        zipped.writestr("archive/data.pkl", pickle)
        zipped.writestr("archive/byteorder", b"little")
        for key, data in (records if records is not None else {"data/0": bytes(16)}).items():
            zipped.writestr(f"archive/{key}", data)
        zipped.writestr("archive/version", b"3\n")
    return out.getvalue()


def legacy(
    pickle: bytes,
    *,
    magic: bytes = MAGIC,
    protocol: bytes = PROTOCOL,
    info: bytes | None = None,
    keys: bytes | None = None,
    tail: bytes | None = None,
) -> bytes:
    """A file as torch.save wrote before 1.6."""
    info = pickled(table(little_endian=b"\x88")) if info is None else info
    keys = pickled(b"]" + MARK + text("0") + b"e") if keys is None else keys
    tail = struct.pack("<q", 4) + bytes(16) if tail is None else tail
    return magic + protocol + info + pickle + keys + tail


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
