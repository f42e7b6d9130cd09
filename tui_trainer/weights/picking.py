"""Ticked layers as patterns: what a screen ticks is what `include_layers` and `exclude_layers` say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from tui_trainer.weights.layer_names import Selection

EVERYTHING = "**"
_DEEPEST = 24  # segments at which a subtree may begin: a name from a file may have thousands
_UNSPEAKABLE = re.compile(r"[,\x00\ud800-\udfff]")  # what a list on the command line or a TOML file cannot hold


def pattern_of(name: str) -> str:
    """The pattern that chooses the layer `name` and what lies below it, whatever characters it has."""
    segments = []
    for segment in name.split("."):
        plain = re.sub(r"[*?\[]", r"[\g<0>]", segment)
        plain = _UNSPEAKABLE.sub("?", plain)
        segments.append(re.sub(r"^\s|\s$", "?", plain) or "*")
    return ".".join(segments)


def cover(names: Iterable[str], wanted: Collection[str]) -> tuple[str, ...]:
    """The fewest patterns that choose of `names` the `wanted` ones only: whole subtrees where that is possible."""
    wanted = set(wanted)
    tree: dict[str, list[str]] = {}
    for name in names:
        segments = name.split(".")
        for depth in range(1, min(len(segments), _DEEPEST)):
            tree.setdefault(".".join(segments[:depth]), []).append(name)
        tree.setdefault(name, []).append(name)
    found: list[str] = []
    covered: set[str] = set()
    for path, below in tree.items():
        if not covered.isdisjoint(below):
            continue
        if wanted.issuperset(below):
            found.append(pattern_of(path))
            covered.update(below)
    return tuple(found)


def patterns_for(
    names: Sequence[str], wanted: Collection[str], include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to include and to exclude so that of `names` exactly the `wanted` are loaded.

    The user's own patterns are kept where adding to or taking from what is excluded is enough.
    """
    wanted, unwanted = set(wanted) & set(names), [name for name in names if name not in set(wanted)]
    if not unwanted:
        return (), ()
    if not wanted:
        return (), (EVERYTHING,)
    spoken_of = {pattern_of(name) for name in wanted}
    kept = tuple(pattern for pattern in exclude if pattern not in spoken_of and pattern != EVERYTHING)
    goal = [name for name in names if name in wanted]
    if _left(names, include, kept) == goal:
        return tuple(include), kept
    left = set(_left(names, include, kept))
    also = (*kept, *cover(names, [name for name in unwanted if name in left]))
    if (include or kept) and _left(names, include, also) == goal:
        return tuple(include), also
    taking, leaving = cover(names, wanted), cover(names, unwanted)
    return ((), leaving) if len(leaving) <= len(taking) else (taking, ())


def _left(names: Iterable[str], include: Sequence[str], exclude: Sequence[str]) -> list[str]:
    taking, leaving = Selection(include), Selection(exclude)
    return [name for name in names if (not taking or taking.matches(name)) and not leaving.matches(name)]
