"""Which of a file's weights are meant, where several fit: the model or its moving average, one of two encoders.

A branch is a group of the file (a nested checkpoint has `model` and `ema`) or a subtree of its names (`encoder_q`
and `encoder_k`). Where two land as much in the model, only a person knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui_trainer.errors import WeightsError
from tui_trainer.text import display
from tui_trainer.weights.contents import Group, WeightFile
from tui_trainer.weights.match import Described, bring_together
from tui_trainer.weights.report import PrefixRule
from tui_trainer.weights.selected import Matched

_RIVAL_SHARE = 0.98  # of the best one's numbers that another must land to be as likely
ROOT = "(root)"  # the name of weights that have none
_MAX_GROUPS = 20  # that are tried against the model


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Weights that may be meant: `name` is what to call them, `numbers` how many of the model's they fill."""

    name: str
    group: Group
    rule: PrefixRule | None = None
    numbers: int = 0

    @property
    def sentence(self) -> str:
        """It in words, safe to show."""
        what = "a moving average, " if self.group.role == "ema" else ""
        return f"{display(self.name, 60)}: {what}{self.numbers:,} numbers of the model"


def branches_of(file: WeightFile, model: Mapping[str, Described], renames: Sequence[str] = ()) -> tuple[Branch, ...]:
    """What of the file may be meant, the most likely first; one where there is no question."""
    tried = [(group, _landed(group, model, renames)) for group in _candidates(file)]
    best = max(matched.report().totals.numbers for _, matched in tried)
    likely = [(group, matched) for group, matched in tried if matched.report().totals.numbers >= _RIVAL_SHARE * best]
    if not best:
        likely = [(group, matched) for group, matched in tried if group is file.chosen]
    likely.sort(key=lambda pair: (pair[0].role != "ema", pair[0] is not file.chosen))
    found: list[Branch] = []
    seen: list[object] = []
    for group, matched in likely:
        if (same := _memory(group)) in seen:
            continue  # the same tensors under another name
        seen.append(same)
        found += _of_group(group, matched, alone=len(likely) == 1)
    return tuple(found)


def choose_branch(
    file: WeightFile, model: Mapping[str, Described], name: str, renames: Sequence[str] = ()
) -> tuple[Branch, tuple[Branch, ...]]:
    """The branch called `name`, or the most likely one; and all that may be meant.

    Raises:
        WeightsError: nothing in the file is called so.
    """
    found = branches_of(file, model, renames)
    if not name:
        return found[0], found
    known = {branch.name: branch for branch in found}
    for group in file.groups:
        if group.tensors and group.role in ("weights", "ema"):
            known.setdefault(group.path or ROOT, Branch(name=group.path or ROOT, group=group))
    if name not in known:
        if not any(tensor.name.startswith(f"{name}.") for tensor in file.tensors):
            words = ", ".join(display(word, 40) for word in list(known)[:_MAX_GROUPS])
            raise WeightsError(f"{display(file.path)} has no weights called {display(name, 60)}: it has {words}.")
        return Branch(name=name, group=file.chosen, rule=PrefixRule(strip=name, add="")), found
    return known[name], found


def question_of(file: WeightFile, found: Sequence[Branch]) -> str:
    """The sentence that asks which branch is meant; empty where there is only one."""
    if len(found) < 2:
        return ""
    words = " or ".join(display(branch.name, 60) for branch in found[:_MAX_GROUPS])
    return f"{display(file.path.name)} holds several weights that fit the model equally well: {words}."


def _candidates(file: WeightFile) -> list[Group]:
    found = [group for group in file.groups if group.tensors and group.role in ("weights", "ema")]
    return found[:_MAX_GROUPS] or [file.chosen]


def _landed(group: Group, model: Mapping[str, Described], renames: Sequence[str]) -> Matched:
    return bring_together({tensor.name: tensor for tensor in group.tensors}, model, renames=renames)


def _memory(group: Group) -> object:
    """What tells whether two groups are the same tensors: an index of the file may hold them twice."""
    return frozenset((tensor.shape, tensor.storage, tensor.offset) for tensor in group.tensors if tensor.storage)


def _of_group(group: Group, matched: Matched, *, alone: bool) -> list[Branch]:
    """A branch for each prefix rule that lands as much."""
    numbers = matched.report().totals.numbers
    if not matched.rivals:
        return [Branch(name=group.path or ROOT, group=group, numbers=numbers)]
    rules = (matched.rules or (PrefixRule(strip="", add=""),))[:1] + matched.rivals
    ways = ([rule.strip for rule in rules], [rule.add for rule in rules], [str(rule) for rule in rules])
    words = next(words for words in ways if len(set(words)) == len(rules) or words is ways[-1])
    start = "" if alone else f"{group.path or ROOT}:"
    return [
        Branch(name=f"{start}{word or ROOT}", group=group, rule=rule, numbers=numbers)
        for word, rule in zip(words, rules, strict=True)
    ]
