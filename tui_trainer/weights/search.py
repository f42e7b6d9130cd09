"""Where the tensors are in what a pickle describes: state_dicts, pickled modules, and dicts of these."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tui_trainer.weights.contents import Role
from tui_trainer.weights.limits import (
    CANCEL_EVERY,
    MAX_CLASS_NAME,
    MAX_CLASS_NAMES,
    MAX_DEPTH,
    MAX_NAME,
    MAX_SPELLED,
    MAX_TENSORS,
    MAX_VISITS,
    Cancelled,
    UnreadableError,
    stop_if,
)
from tui_trainer.weights.records import Made, Name, TensorRecord, Value

_NOT_WEIGHTS = re.compile(r"(optim|sched|scaler|(^|_)amp$|callback|loops|rng|hyper_param)", re.IGNORECASE)
_EMA = re.compile(r"(^|[._])(ema|swa)([._]|$)", re.IGNORECASE)
_CLASS_KEYS = frozenset({"classes", "class_names", "class_to_idx", "names", "CLASSES", "categories"})
_CONTAINERS = frozenset(
    [
        "state_dict",
        "model",
        "model_state_dict",
        "model_state",
        "net",
        "network",
        "params",
        "module",
        "weights",
        "student",
        "teacher",
        "generator",
        "discriminator",
        "ema",
        "best",
        "last",
    ]
)
_MOST_ARGUMENTS = 10
_MOST_LISTED = 100  # items of a list that are looked into
_MOST_CLASS_LISTS = 20  # lists under one of the keys above that are looked at; each may be long


@dataclass
class Found:
    """One group of tensors; `module` is the qualified class of a pickled nn.Module."""

    path: str
    role: Role
    module: str = ""
    tensors: dict[str, TensorRecord] = field(default_factory=dict)


def module_state(value: Value) -> dict[Value, Value] | None:
    """The attributes of a pickled nn.Module; None for anything else."""
    if not isinstance(value, Made):
        return None
    state = value.state[0] if isinstance(value.state, tuple) and value.state else value.state
    if isinstance(state, dict) and isinstance(state.get("_modules"), dict) and "_parameters" in state:
        return state
    return None


def class_of(value: Made) -> str:
    """The qualified class of an object, through `copyreg._reconstructor` and the like."""
    of = value.of
    if isinstance(of, Name) and of.module in ("copyreg", "copy_reg", "torch.fx.graph_module"):
        candidates = value.args if isinstance(value.args, tuple) else ()
        of = next((item for item in candidates if isinstance(item, Name)), of)
    return of.qualified if isinstance(of, Name) else "unknown"


class Search:
    """One walk through a described value. It counts its steps, since values may contain each other."""

    def __init__(self, cancelled: Cancelled, persistent: Callable[[str], frozenset[str] | None] | None = None) -> None:
        self._cancelled = cancelled
        self._scripted = persistent  # of TorchScript: which attributes of a class are in its state_dict
        self._visits = self._spelled = self._class_lists = 0
        self._rows = 0
        self._seen: set[int] = set()
        self.groups: list[Found] = []
        self.class_names: tuple[str, ...] = ()

    def run(self, root: Value) -> list[Found]:
        """All groups under `root`, outermost first."""
        self._look(root, "", 0)
        self._join_tree()
        return self.groups

    def _join_tree(self) -> None:
        """Adds the whole of {"encoder": {...}, "decoder": {...}}, which is one network in several dicts."""
        parts = [group for group in self.groups if group.tensors]
        whole = [group for group in parts if group.role != "weights" or group.module]
        named = [group for group in parts if group.path.split(".")[0] in _CONTAINERS or not group.path]
        if len(parts) < 2 or whole or named:
            return
        joined = Found("", "weights")
        for part in parts:
            for name, record in part.tensors.items():
                self._row(joined, self._named(part.path, ".", name) if name else part.path, record)
        self.groups.insert(0, joined)

    def _step(self) -> None:
        self._visits += 1
        if self._visits % CANCEL_EVERY == 0:
            stop_if(self._cancelled)
        if self._visits > MAX_VISITS:
            raise UnreadableError(f"it holds more than {MAX_VISITS:,} values, or values that contain each other")

    def _named(self, path: str, dot: str, name: str) -> str:
        """`path` and `name` as one, as long as names of weights may be; `dot` is what joins them."""
        size = len(path) + len(name)
        self._spelled += size
        if size > MAX_NAME:
            raise UnreadableError(f"one of its names has more than {MAX_NAME:,} characters")
        if self._spelled > MAX_SPELLED:
            raise UnreadableError(f"its names have more than {MAX_SPELLED:,} characters in all")
        return f"{path}{dot}{name}" if path else name

    def _row(self, group: Found, name: str, record: TensorRecord) -> None:
        self._rows += 1
        if self._rows > MAX_TENSORS:
            raise UnreadableError(f"it lists more than {MAX_TENSORS:,} tensors")
        group.tensors[name] = record

    def _look(self, value: Value, path: str, depth: int) -> None:
        self._step()
        if isinstance(value, TensorRecord):
            group = Found(path, _role(path))
            self._row(group, "", value)
            self.groups.append(group)
            return
        if not isinstance(value, dict | list | tuple | Made) or id(value) in self._seen:
            return
        if depth > MAX_DEPTH:
            raise UnreadableError(f"its contents are nested deeper than {MAX_DEPTH} levels")
        self._seen.add(id(value))
        if isinstance(value, Made):
            self._look_into_object(value, path, depth)
        elif isinstance(value, dict):
            self._look_into_dict(value, path, depth)
        else:
            numbered: dict[Value, Value] = {str(index): item for index, item in enumerate(value[:_MOST_LISTED])}
            self._look_into_dict(numbered, path, depth)

    def _look_into_object(self, value: Made, path: str, depth: int) -> None:
        if self._scripted is not None and class_of(value).startswith("__torch__"):
            group = Found(path, _role(path), class_of(value))
            self._scripted_rows(group, value, "", 0)
            self.groups.append(group)
        elif (state := module_state(value)) is not None:
            group = Found(path, _role(path), class_of(value))
            self._module_rows(group, state, "", 0)
            self.groups.append(group)
        elif value.pairs:
            self._look_into_dict(value.pairs, path, depth)
        else:  # torch.compile and others keep the module in the arguments
            self._look(value.state, path, depth + 1)
            for item in value.args[:_MOST_ARGUMENTS] if isinstance(value.args, tuple) else ():
                self._look(item, path, depth + 1)

    def _look_into_dict(self, values: dict[Value, Value], path: str, depth: int) -> None:
        if "state" in values and "param_groups" in values:
            self.groups.append(Found(path, "optimizer"))
            return
        if isinstance(values.get("_modules"), dict) and "_parameters" in values:  # torch.fx pickles the attributes
            group = Found(path, _role(path), "torch.fx.GraphModule")
            self._module_rows(group, values, "", 0)
            self.groups.append(group)
            return
        if not self.class_names and self._class_lists < _MOST_CLASS_LISTS and not _CLASS_KEYS.isdisjoint(values):
            self._class_lists += 1
            self.class_names = _class_names(values)
        group = Found(path, _role(path))
        later: list[tuple[str, Value]] = []
        for key, value in values.items():
            self._step()
            if not isinstance(key, str):
                continue
            if isinstance(value, TensorRecord):
                self._row(group, self._named("", "", key), value)
            elif isinstance(value, dict | list | tuple | Made):
                later.append((key, value))
        if group.tensors:
            self.groups.append(group)
        for key, value in later:
            self._look(value, self._named(path, ".", key), depth + 1)

    def _module_rows(self, group: Found, state: dict[Value, Value], prefix: str, depth: int) -> None:
        """The tensors of a module in the order of its `state_dict()`."""
        if depth > MAX_DEPTH:
            raise UnreadableError(f"its modules are nested deeper than {MAX_DEPTH} levels")
        skipped = state.get("_non_persistent_buffers_set")
        for key in ("_parameters", "_buffers"):
            for name, value in _items(state.get(key)):
                self._step()
                left_out = key == "_buffers" and isinstance(skipped, list) and name in skipped
                if isinstance(value, TensorRecord) and not left_out:
                    self._row(group, self._named(prefix, "", name), value)
        for name, child in _items(state["_modules"]):
            self._step()
            child_state = module_state(child)
            if child_state is not None:
                self._module_rows(group, child_state, self._named(prefix, "", name) + ".", depth + 1)

    def _scripted_rows(self, group: Found, value: Made, prefix: str, depth: int) -> None:
        """The tensors of a TorchScript object; its code says which of them are in its state_dict."""
        if depth > MAX_DEPTH:
            raise UnreadableError(f"its modules are nested deeper than {MAX_DEPTH} levels")
        listed = self._scripted(class_of(value)) if self._scripted else None
        for name, item in _items(value.state):
            self._step()
            if isinstance(item, TensorRecord) and (listed is None or name in listed):
                self._row(group, self._named(prefix, "", name), item)
        for name, item in _items(value.state):
            if isinstance(item, Made) and class_of(item).startswith("__torch__"):
                self._step()
                self._scripted_rows(group, item, self._named(prefix, "", name) + ".", depth + 1)


def _items(value: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(value, Made):
        value = value.pairs
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield key, item


def _role(path: str) -> Role:
    if _NOT_WEIGHTS.search(path):
        return "other"
    return "ema" if _EMA.search(path) else "weights"


def _class_names(values: dict[Value, Value]) -> tuple[str, ...]:
    """The class names that a dict lists under one of the usual keys, by row of the classifier."""
    for key in sorted(_CLASS_KEYS & values.keys()):
        names = values[key]
        if isinstance(names, dict):
            pairs = list(names.items())[:MAX_CLASS_NAMES]
            if all(isinstance(name, str) and type(row) is int for name, row in pairs):  # class_to_idx
                pairs = [(row, name) for name, row in pairs]
            if not all(type(row) is int and isinstance(name, str) for row, name in pairs):
                continue
            names = [name for _, name in sorted(pairs, key=lambda pair: str(pair[0]).zfill(12))]
        if isinstance(names, list | tuple) and 0 < len(names) <= MAX_CLASS_NAMES:
            strings = tuple(name for name in names if isinstance(name, str) and len(name) <= MAX_CLASS_NAME)
            if len(strings) == len(names):
                return strings
    return ()
