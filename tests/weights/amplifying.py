"""Pickles whose few bytes would be copied, joined or looked through again and again."""

from __future__ import annotations

import struct

from .opcodes import MARK, call, mapping, name, number, numbers, row, storage, table, tensor, text

LIST, ORDERED = name("builtins", "list"), name("collections", "OrderedDict")
REBUILD = name("torch._utils", "_rebuild_tensor_v2")


def keep(index: int) -> bytes:
    return b"r" + struct.pack("<I", index) + b"0"


def recall(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def called_again(function: bytes, argument: bytes, times: int, *, kept: bool) -> bytes:
    """One function called with one argument, both given once, many times."""
    setup = function + keep(0) + argument + keep(1)
    one = recall(0) + recall(1) + b"R"
    return setup + (b"]" + MARK + one * times + b"e" if kept else (one + b"0") * times + b"N")


def module(parameters: bytes, children: list[tuple[bytes, bytes]]) -> bytes:
    state = table(_parameters=parameters, _buffers=b"}", _modules=mapping(children))
    return name("gone.net", "Net") + b")\x81" + state + b"b"


def nested(inner: bytes, *, in_modules: bool) -> bytes:
    """Under 90 names, each as long as a book."""
    long = text("n" * 400_000) + keep(7)
    body = inner
    for _ in range(90):
        pair = [(recall(7), body)]
        body = module(b"}", pair) if in_modules else mapping(pair)
    return long + body


def doubled(levels: int) -> bytes:
    """Each module twice in the one above, under two names of 3,000 characters."""
    body = module(table(w=tensor()), []) + b"r" + struct.pack("<I", 100)
    for level in range(levels):
        below = recall(100 + level)
        pairs = [(text("a" * 3000), below), (text("b" * 3000), below)]
        body += b"0" + module(b"}", pairs) + b"r" + struct.pack("<I", 101 + level)
    return body


def amplifying(scale: int) -> dict[str, bytes]:
    """Bodies of pickles, by name; floods are a `scale`-th of what the true limits take."""
    many = b"]" + MARK + b"N" * (900_000 // scale) + b"e\x85"
    keys = b"".join(b"J" + struct.pack("<i", key) + b"N" for key in range(400_000 // scale))
    arguments = row(storage(), number(0), numbers(*[1] * 64), numbers(*[1] * 64), b"\x89", b"}")
    weights = mapping([(text(f"w{index}"), tensor()) for index in range(50)])
    two = b"\x8c\x02" + "\u0100".encode()
    long_name = text("c" * 2_000_000) + keep(5)
    no_list = b"]" + MARK + text("c") * (90_000 // scale) + b"Ne" + keep(6)
    empty = b"".join(text(str(index)) + b"}" for index in range(300_000 // scale))
    classes = b"".join(text(str(index)) + table(classes=recall(6)) for index in range(50_000 // scale))
    shared_key = b"".join(text(str(index)) + mapping([(recall(5), b"}")]) for index in range(100_000 // scale))
    return {
        "list_copies_kept": called_again(LIST, many, 800, kept=True),
        "list_copies_dropped": called_again(LIST, many, 200_000 // scale, kept=False),
        "dict_copies_dropped": called_again(ORDERED, b"}" + MARK + keys + b"u\x85", 200_000 // scale, kept=False),
        "wide_tensors": called_again(REBUILD, arguments, 900_000 // scale, kept=True),
        "long_prefixes": nested(module(weights, []), in_modules=True),
        "long_paths": nested(weights, in_modules=False),
        "doubled_long_names": doubled(17),
        "text_flood": b"]" + (MARK + two * (900_000 // scale) + b"e") * 5,
        "full_dicts": b"]" + (MARK + b"}NNs" * (300_000 // scale) + b"e") * 4,
        "made_chain": name("a", "b") + b")R" * (660_000 // scale),
        "long_class_names": long_name + table(classes=b"]" + MARK + recall(5) * (90_000 // scale) + b"e", w=tensor()),
        "classes_again": no_list + b"}" + MARK + classes + b"u",
        "long_path_of_many": mapping([(text("k" * 9_000), b"}" + MARK + empty + b"u")]),
        "long_key_of_many": long_name + b"}" + MARK + shared_key + b"u",
        "hooks_again": b"}" + MARK + (text("h") + call(ORDERED)) * (400_000 // scale) + b"u",
    }
