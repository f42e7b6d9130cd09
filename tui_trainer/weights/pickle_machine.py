"""The memory that a pickle's opcodes work on: stack, marks and memo, none of which grows without limit."""

from __future__ import annotations

from tui_trainer.weights.limits import (
    MAX_CONTAINERS,
    MAX_MARKS,
    MAX_MEMO,
    MAX_NAMES,
    MAX_STACK,
    UnreadableError,
)
from tui_trainer.weights.records import Made, Name, Opaque, StorageRef, TensorRecord, Value

_MAX_FOREIGN_NAMES = 100
_OBJECT_COST = 3  # an object takes as much memory as three containers
_SIZES_AT_ONCE = 4  # numbers of a tensor's shape that take as much as a container
_MAX_NAME = 500  # characters of a module's or a class's name that are kept
_KEY_LIMIT = 1 << 60  # larger integers can be chosen to collide in a dict
_EXPECTED = frozenset(
    ("torch", "collections", "builtins", "__builtin__", "copyreg", "copy_reg", "_codecs", "__torch__")
)


class Machine:
    """What one pickle has built so far.

    `foreign` are the names it mentions that are not torch's own, `storages` what its tensors' numbers
    lie in, by key.
    """

    def __init__(self) -> None:
        self._stack: list[Value] = []
        self._marks: list[int] = []
        self._floor = 0  # values below it were pushed before the last mark
        self._memo: dict[int, Value] = {}
        self.opcodes = 0  # followed so far, rounded up
        self._containers = 0
        self._names = 0
        self.foreign: dict[str, None] = {}
        self.storages: dict[str, StorageRef] = {}

    def push(self, value: Value) -> None:
        """Puts a value on the stack that takes no memory of its own."""
        if len(self._stack) >= MAX_STACK:
            raise UnreadableError(f"its pickle holds more than {MAX_STACK:,} values at once")
        self._stack.append(value)

    def push_new(self, value: Value) -> None:
        """Puts a text, container or record on the stack that was just made."""
        self._charge(1)
        self.push(value)

    def push_made(self, value: Value) -> None:
        """Puts on the stack what a call would make; what it copies counts as made, since a few bytes can repeat it."""
        if isinstance(value, list | dict):
            self._charge(1 + len(value))
        elif isinstance(value, TensorRecord):
            self._charge(_OBJECT_COST + (len(value.shape) + len(value.stride)) // _SIZES_AT_ONCE)
        else:
            self._charge(_OBJECT_COST)
        self.push(value)

    def _charge(self, cost: int) -> None:
        self._containers += cost
        if self._containers > MAX_CONTAINERS:
            raise UnreadableError(f"its pickle makes more than {MAX_CONTAINERS:,} objects")

    def pop(self) -> Value:
        """Takes the top value off the stack."""
        if len(self._stack) <= self._floor:
            raise UnreadableError("its pickle takes more values than it gives")
        return self._stack.pop()

    def top(self) -> Value:
        """The top value, which stays."""
        if len(self._stack) <= self._floor:
            raise UnreadableError("its pickle takes more values than it gives")
        return self._stack[-1]

    def mark(self) -> None:
        """Opens a group of values."""
        if len(self._marks) >= MAX_MARKS:
            raise UnreadableError(f"its pickle opens more than {MAX_MARKS:,} groups")
        self._floor = len(self._stack)
        self._marks.append(self._floor)

    def at_mark(self) -> bool:
        """Whether the last group is still empty."""
        return bool(self._marks) and len(self._stack) == self._floor

    def since_mark(self) -> list[Value]:
        """Closes the last group and takes its values."""
        if not self._marks:
            raise UnreadableError("its pickle closes a group that it never opened")
        start = self._marks.pop()
        self._floor = self._marks[-1] if self._marks else 0
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def remember(self, index: int | None) -> None:
        """Keeps the top value under `index`, by default under the next free one."""
        if len(self._memo) >= MAX_MEMO:
            raise UnreadableError(f"its pickle remembers more than {MAX_MEMO:,} values")
        self._memo[len(self._memo) if index is None else index] = self.top()

    def recall(self, index: int) -> None:
        """Pushes the value kept under `index`."""
        if index not in self._memo:
            raise UnreadableError("its pickle recalls a value that it never stored")
        self.push(self._memo[index])

    def extend_top(self, values: list[Value]) -> None:
        """Appends to the list, set or object on top."""
        target = self.top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Made):
            target.items.extend(values)
        else:
            raise UnreadableError("its pickle appends to something that is no list")

    def set_in_top(self, values: list[Value]) -> None:
        """Sets items, given as key, value, key, value, of the dict or object on top."""
        target = self.top()
        if isinstance(target, Made):
            target = target.pairs
        if not isinstance(target, dict) or len(values) % 2:
            raise UnreadableError("its pickle sets an item of something that is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[_key(key)] = value

    def push_name(self, module: str, name: str) -> None:
        """Pushes the name of a class or function, which is not looked up."""
        self._names += 1
        if self._names > MAX_NAMES:
            raise UnreadableError(f"its pickle names more than {MAX_NAMES:,} classes")
        record = Name(module[:_MAX_NAME], name[:_MAX_NAME])
        if module.split(".", maxsplit=1)[0] not in _EXPECTED:
            self.mention(record.qualified)
        self.push_new(record)

    def mention(self, text: str) -> None:
        """Notes that the pickle names something that weights do not need."""
        if len(self.foreign) < _MAX_FOREIGN_NAMES:
            self.foreign[text] = None


def _key(key: Value) -> Value:
    """`key` when hashing it is cheap and cannot be made to collide; else a stand-in."""
    if key is None or isinstance(key, str | bytes | bool | float | Name):
        return key
    if isinstance(key, int) and -_KEY_LIMIT < key < _KEY_LIMIT:
        return key
    return Opaque("a key")
