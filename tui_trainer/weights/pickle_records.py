"""A pickle read as a description: its opcodes are followed, nothing they name is imported or called.

`pickletools.genops` splits the bytes into opcodes. GLOBAL gives a `Name`, REDUCE, NEWOBJ, INST and OBJ a
`Made`, BUILD fills in a `Made`; dict keys are only hashed when they are flat, plain and short. So a
pickle can describe an attack, and cannot carry it out.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from itertools import islice
from typing import cast

from tui_trainer.weights.limits import (
    CANCEL_EVERY,
    MAX_INTEGER_BITS,
    MAX_LINE_BYTES,
    MAX_OPCODES,
    Cancelled,
    UnreadableError,
    never,
    stop_if,
)
from tui_trainer.weights.pickle_machine import Machine
from tui_trainer.weights.records import Made, Name, Opaque, StorageRef, Value
from tui_trainer.weights.torch_names import made, storage_ref

# genops decodes each opcode's argument before it hands it over, and raises these on nonsense
_DECODING = (ValueError, OverflowError, AssertionError, IndexError, KeyError, TypeError, MemoryError, Warning)
_DICTS = frozenset({("collections", "OrderedDict"), ("builtins", "dict"), ("__builtin__", "dict")})

_Action = Callable[[Machine, Value], None]


class OpcodeStream:
    """The bytes of one pickle as genops wants them; a text line is cut where no honest one ends."""

    def __init__(self, raw: io.RawIOBase | io.BytesIO) -> None:
        self._buffered = io.BufferedReader(cast(io.RawIOBase, raw), 1 << 16)
        self.read: Callable[[int], bytes] = self._buffered.read

    def readline(self) -> bytes:
        """The rest of the line, at most `MAX_LINE_BYTES`."""
        return self._buffered.readline(MAX_LINE_BYTES)

    def position(self) -> int:
        """How many bytes the opcodes so far took."""
        return self._buffered.tell()


def described(stream: OpcodeStream, cancelled: Cancelled = never, most: int = MAX_OPCODES) -> tuple[Value, Machine]:
    """The value that a pickle of at most `most` opcodes describes, and the machine with what it mentioned.

    Raises:
        UnreadableError: the opcodes are damaged, or ask for more than any weight file does.
    """
    machine = Machine()
    actions = _ACTIONS
    opcodes = pickletools.genops(cast(io.BytesIO, stream))
    try:
        while machine.opcodes < most:
            stop_if(cancelled)
            machine.opcodes += CANCEL_EVERY
            for opcode, argument, _ in islice(opcodes, CANCEL_EVERY):
                if opcode.name == "STOP":
                    return machine.pop(), machine
                actions[opcode.name](machine, argument)
    except _DECODING as error:
        raise UnreadableError(f"its pickle is damaged ({type(error).__name__})") from None
    raise UnreadableError(f"its pickle has more than {MAX_OPCODES:,} opcodes")


# What each opcode does, as a function of the machine and the opcode's argument


def _nothing(_machine: Machine, _argument: Value) -> None:
    """PROTO and FRAME say nothing about the values."""


def _refuse(_machine: Machine, _argument: Value) -> None:
    raise UnreadableError("its pickle uses an opcode that no weight file needs")


def _constant(value: Value) -> _Action:
    return lambda machine, _: machine.push(value)


def _number(machine: Machine, argument: Value) -> None:
    huge = isinstance(argument, int) and argument.bit_length() > MAX_INTEGER_BITS
    machine.push(Opaque("a huge number") if huge else argument)


def _mark(machine: Machine, _: Value) -> None:
    machine.mark()


def _pop(machine: Machine, _: Value) -> None:
    if machine.at_mark():
        machine.since_mark()
    else:
        machine.pop()


def _pop_mark(machine: Machine, _: Value) -> None:
    machine.since_mark()


def _dup(machine: Machine, _: Value) -> None:
    machine.push(machine.top())


def _index(argument: Value) -> int:
    if type(argument) is int:
        return argument
    try:
        return int(cast(str, argument))
    except (TypeError, ValueError):
        raise UnreadableError("its pickle stores a value under something that is no number") from None


def _put(machine: Machine, argument: Value) -> None:
    machine.remember(_index(argument))


def _memoize(machine: Machine, _: Value) -> None:
    machine.remember(None)


def _get(machine: Machine, argument: Value) -> None:
    machine.recall(_index(argument))


def _empty_list(machine: Machine, _: Value) -> None:
    machine.push_new([])


def _empty_dict(machine: Machine, _: Value) -> None:
    machine.push_new({})


def _list(machine: Machine, _: Value) -> None:
    machine.push_new(machine.since_mark())


def _tuple(machine: Machine, _: Value) -> None:
    machine.push_new(tuple(machine.since_mark()))


def _tuple_of(size: int) -> _Action:
    def action(machine: Machine, _: Value) -> None:
        values = [machine.pop() for _ in range(size)]
        machine.push_new(tuple(reversed(values)))

    return action


def _dict(machine: Machine, _: Value) -> None:
    values = machine.since_mark()
    machine.push_new({})
    machine.set_in_top(values)


def _append(machine: Machine, _: Value) -> None:
    value = machine.pop()
    machine.extend_top([value])


def _appends(machine: Machine, _: Value) -> None:
    machine.extend_top(machine.since_mark())


def _set_item(machine: Machine, _: Value) -> None:
    value = machine.pop()
    key = machine.pop()
    machine.set_in_top([key, value])


def _set_items(machine: Machine, _: Value) -> None:
    machine.set_in_top(machine.since_mark())


def _global(machine: Machine, argument: Value) -> None:
    module, _, name = str(argument).partition(" ")
    machine.push_name(module, name)


def _stack_global(machine: Machine, _: Value) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise UnreadableError("its pickle names a class by something that is no text")
    machine.push_name(module, name)


def _reduce(machine: Machine, _: Value) -> None:
    args, of = machine.pop(), machine.pop()
    machine.push_made(made(of, args))


def _new_object(machine: Machine, _: Value) -> None:
    args, of = machine.pop(), machine.pop()
    is_dict = isinstance(of, Name) and (of.module, of.name) in _DICTS
    machine.push_made({} if is_dict else Made(of, args))


def _new_object_with_keywords(machine: Machine, argument: Value) -> None:
    machine.pop()
    _new_object(machine, argument)


def _instance(machine: Machine, argument: Value) -> None:
    args = tuple(machine.since_mark())
    _global(machine, argument)
    machine.push_made(made(machine.pop(), args))


def _object(machine: Machine, _: Value) -> None:
    values = machine.since_mark()
    if not values:
        raise UnreadableError("its pickle makes an object of nothing")
    machine.push_made(made(values[0], tuple(values[1:])))


def _build(machine: Machine, _: Value) -> None:
    state, target = machine.pop(), machine.top()
    if isinstance(target, Made):
        target.state = state
    elif isinstance(target, Name):
        machine.mention(f"{target.qualified} (which it tries to change)")


def _persistent(machine: Machine, _: Value) -> None:
    value = storage_ref(machine.pop())
    if isinstance(value, StorageRef):
        machine.storages[value.key] = value
    machine.push_new(value)


_TEXTS = (
    "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip
_ACTIONS: dict[str, _Action] = (
    dict.fromkeys(_TEXTS, Machine.push_new)
    | dict.fromkeys(("FLOAT", "BINFLOAT"), Machine.push)
    | dict.fromkeys(("PROTO", "FRAME"), _nothing)
    | dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _number)
    | dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put)
    | dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get)
    | dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), _empty_list)
    | dict.fromkeys(("EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER", "READONLY_BUFFER"), _refuse)
    | {
        "NONE": _constant(None), "NEWTRUE": _constant(True), "NEWFALSE": _constant(False),
        "EMPTY_TUPLE": _constant(()), "EMPTY_DICT": _empty_dict, "MEMOIZE": _memoize,
        "TUPLE1": _tuple_of(1), "TUPLE2": _tuple_of(2), "TUPLE3": _tuple_of(3),
        "MARK": _mark, "POP": _pop, "POP_MARK": _pop_mark, "DUP": _dup,
        "LIST": _list, "TUPLE": _tuple, "DICT": _dict, "FROZENSET": _list,
        "APPEND": _append, "APPENDS": _appends, "ADDITEMS": _appends,
        "SETITEM": _set_item, "SETITEMS": _set_items,
        "GLOBAL": _global, "STACK_GLOBAL": _stack_global, "REDUCE": _reduce, "BUILD": _build,
        "NEWOBJ": _new_object, "NEWOBJ_EX": _new_object_with_keywords,
        "INST": _instance, "OBJ": _object, "BINPERSID": _persistent,
    }
)  # fmt: skip
