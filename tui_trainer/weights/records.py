"""What a pickle describes, as inert values: nothing here can import, call or change anything.

Plain data (numbers, text, bytes, lists, tuples, dicts) stands for itself; sets are lists.
"""

from __future__ import annotations

from dataclasses import dataclass

Value = object  # plain data, or one of the records below


class Name:
    """A class or function that the pickle mentions, and which is never imported."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    @property
    def qualified(self) -> str:
        """The dotted name, as Python writes it."""
        return f"{self.module}.{self.name}"


class Made:
    """An object that unpickling would make: of what, from what; it is never made."""

    __slots__ = ("args", "items", "of", "pairs", "state")

    def __init__(self, of: Value, args: Value) -> None:
        self.of = of
        self.args = args
        self.state: Value = None
        self.items: list[Value] = []
        self.pairs: dict[Value, Value] = {}


class Opaque:
    """A value whose content is of no use here: a key that must not be hashed, a huge number."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what


class StorageRef:
    """Where the numbers of tensors lie: `numel` numbers of `dtype` under `key` of the archive.

    `first` is where a view of an old file's storage begins, in numbers.
    """

    __slots__ = ("dtype", "first", "key", "numel")

    def __init__(self, dtype: str, key: str, numel: int, first: int = 0) -> None:
        self.dtype = dtype
        self.key = key
        self.numel = numel
        self.first = first


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor as the pickle describes it; nothing in it has been checked against the file."""

    storage: StorageRef | None
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0  # first number, counted in numbers of `dtype` from the storage's start
    conjugated: bool = False  # the numbers in the file are the complex conjugates of the tensor's
    negated: bool = False
    problem: str = ""  # why it cannot be read, in words; empty when it can
