"""Names of tensors and layers: whole segments between dots, never substrings."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from tui_trainer.errors import WeightsError
from tui_trainer.text import display

COUNTER = "num_batches_tracked"  # a counter that no layer's output depends on, missing in old files
_WRAPPERS = frozenset(
    {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_flat_param"}
)
_ALIASED = frozenset({"gamma", "beta", "weight_g", "weight_v"})
_ESCAPED = re.compile(r"\[([*?\[])\]")
_PARAMETRIZED = re.compile(r"(^|\.)parametrizations\.([^.]+)\.original([01]?)$")


def layer_of(name: str) -> str:
    """The module that owns the tensor `name`; of a tensor without a module, its own name."""
    match = _PARAMETRIZED.search(name) if "parametrizations" in name else None
    if match:
        return name[: match.start()] or name
    return name.rpartition(".")[0] or name


def leaf_of(name: str) -> str:
    """The last segment of `name`."""
    return name.rpartition(".")[2]


def layers_of(names: Iterable[str]) -> dict[str, list[str]]:
    """The tensors of each layer, layers in the order of their first tensor."""
    result: dict[str, list[str]] = {}
    for name in names:
        result.setdefault(layer_of(name), []).append(name)
    return result


def under(name: str, prefix: str) -> bool:
    """Whether `name` is `prefix` or lies below it."""
    return not prefix or name == prefix or name.startswith(prefix + ".")


def without_wrappers(names: Iterable[str], model_names: Collection[str]) -> dict[str, str]:
    """Each name without the segments that DataParallel, compile, FSDP and the like put in: {new: old}.

    `module` is only removed when the model has no module of that name; where two names would become
    one, all keep theirs.
    """
    removed = set(_WRAPPERS)
    if not any("module" in name.split(".") for name in model_names):
        removed.add("module")
    removed -= {segment for name in model_names for segment in name.split(".") if segment in removed}
    names = list(names)
    result: dict[str, str] = {}
    for name in names:
        short = ".".join(segment for segment in name.split(".") if segment not in removed)
        if not short or short in result:
            return {name: name for name in names}
        result[short] = name
    return result


def with_aliases(names: Mapping[str, str], model_names: Collection[str]) -> dict[str, str]:
    """`names` ({now: old}) with the model's words for gamma, beta, weight_g and weight_v."""
    leaves = {leaf_of(name) for name in model_names}
    parametrized = any(".parametrizations." in f".{name}" for name in model_names)
    if not any(leaf_of(name) in _ALIASED or "parametrizations" in name for name in names):
        return dict(names)
    swaps: list[tuple[str, str]] = []
    if "gamma" not in leaves:
        swaps += [(r"(^|\.)gamma$", r"\1weight"), (r"(^|\.)beta$", r"\1bias")]
    if parametrized:
        swaps += [(r"(^|\.)(\w+)_g$", r"\1parametrizations.\2.original0")]
        swaps += [(r"(^|\.)(\w+)_v$", r"\1parametrizations.\2.original1")]
    elif "weight_g" in leaves:
        swaps += [(r"(^|\.)parametrizations\.(\w+)\.original0$", r"\1\2_g")]
        swaps += [(r"(^|\.)parametrizations\.(\w+)\.original1$", r"\1\2_v")]
    result: dict[str, str] = {}
    for now, old in names.items():
        changed = now
        for pattern, replacement in swaps:
            other = re.sub(pattern, replacement, now)
            if other != now and other in model_names and now not in model_names:
                changed = other
        result[changed if changed not in result and (changed == now or changed not in names) else now] = old
    return result


def parse_rename(rule: str) -> tuple[str, str]:
    """The rule "old=new": whole segments at the start of a name; either side may be empty.

    Raises:
        WeightsError: it has no single "=".
    """
    old, equals, new = rule.partition("=")
    if not equals or "=" in new:
        raise WeightsError(
            f"a rename rule is not understood: {display(rule, 80)}: write OLD=NEW, as in backbone=encoder."
        )
    return old.strip().strip("."), new.strip().strip(".")


class Selection:
    """Patterns that choose layers: whole segments from the start of a name, each of which may hold * ? [...].

    `fc1` chooses fc1 and what lies below it, never fc10 or block.fc1; `layer4.*.conv1` the conv1 of each
    block of layer4; `**.bn1` every bn1 at any depth. A name meets only the patterns that begin as it does, so
    that hundreds of them cost a screen no time.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(pattern.strip().strip(".") for pattern in patterns if pattern.strip().strip("."))
        self._plain: dict[str, list[str]] = {}  # the name that a pattern without signs stands for
        self._wild: dict[str, list[tuple[str, tuple[str, ...]]]] = {}  # by what comes before the first sign
        for pattern in self.patterns:
            head, rest = _split(pattern)
            if rest:
                self._wild.setdefault(head, []).append((pattern, rest))
            else:
                self._plain.setdefault(head, []).append(pattern)
        self._sizes = frozenset(map(len, (*self._plain, *self._wild)))  # of what is worth a look: a name may be long
        self.used: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def matches(self, *names: str) -> bool:
        """Whether a pattern stands in one of `names`; remembers which patterns ever did."""
        found: list[str] = []
        for name in names:
            found += (pattern for pattern, rest in self._wild.get("", ()) if _begins_with(name.split("."), rest))
            for end in self._ends(name):
                head = name[:end]
                found += self._plain.get(head, ())
                below = name[end + 1 :].split(".") if end < len(name) else []
                found += (pattern for pattern, rest in self._wild.get(head, ()) if _begins_with(below, rest))
        self.used.update(found)
        return bool(found)

    def _ends(self, name: str) -> Iterator[int]:
        """Where segments of `name` end, a pattern's plain part might."""
        end = name.find(".")
        while end >= 0:
            if end in self._sizes and end:
                yield end
            end = name.find(".", end + 1)
        if name and len(name) in self._sizes:
            yield len(name)

    @property
    def unused(self) -> tuple[str, ...]:
        """Patterns that chose nothing so far."""
        return tuple(pattern for pattern in self.patterns if pattern not in self.used)


@lru_cache(maxsize=4096)
def _split(pattern: str) -> tuple[str, tuple[str, ...]]:
    """The name that a pattern begins with, and its segments from the first one with a sign in it."""
    segments = pattern.split(".")
    plain = list(itertools.takewhile(lambda text: text is not None, map(_literal, segments)))
    return ".".join(text for text in plain if text is not None), tuple(segments[len(plain) :])


def _literal(segment: str) -> str | None:
    """The text that a segment stands for; None where it has signs other than [*], [?] and [[], which are texts."""
    if any(sign in _ESCAPED.sub("", segment) for sign in "*?["):
        return None
    return _ESCAPED.sub(r"\1", segment)


def _begins_with(segments: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether `wanted` stands at the start of `segments`; "**" stands for any number of them."""
    if not wanted:
        return True
    if wanted[0] == "**":
        return any(_begins_with(segments[at:], wanted[1:]) for at in range(len(segments) + 1))
    return bool(segments) and _same(segments[0], wanted[0]) and _begins_with(segments[1:], wanted[1:])


def _same(segment: str, want: str) -> bool:
    if "*" in want or "?" in want or "[" in want:
        return fnmatch.fnmatchcase(segment, want)
    return segment == want
