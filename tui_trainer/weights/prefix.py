"""One prefix rule for a whole file: the one under which most numbers land on tensors of equal shape.

A rule is one-to-one, so no tensor of the model can be claimed twice, as happens when each name looks
for its own longest suffix.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from tui_trainer.weights.layer_names import under
from tui_trainer.weights.report import Facts, PrefixRule, Shape

IDENTITY = PrefixRule(strip="", add="")
_PAIRS_PER_KEY = 40  # of tensors with equal ending and shape that are compared on each side
_CANDIDATES = 40
_RIVAL_SHARE = 0.98  # a rule that lands this much of the best one's numbers could be meant as well
_FURTHER_SHARE = 0.01  # of the model's numbers that a rule for another subtree must land
_MAX_RULES = 8

Score = tuple[int, int, int]  # numbers, names, minus the length of the rule


def find_rules(
    file: Mapping[str, Facts], model: Mapping[str, Facts], first: PrefixRule | None = None
) -> tuple[tuple[PrefixRule, ...], tuple[PrefixRule, ...]]:
    """The rules to apply, `first` if it is given, and the rivals of the best; both empty when nothing lands."""
    if first is not None:
        best, rivals = first, tuple[PrefixRule, ...]()
    else:
        scored = _scored(file, model)
        best, score = scored[0]
        if not score[0]:
            return (), ()
        rivals = tuple(rule for rule, other in scored[1:] if other[0] >= _RIVAL_SHARE * score[0] and _apart(rule, best))
    rules = [best]
    total = sum(facts.numel for facts in model.values())
    while len(rules) < _MAX_RULES:
        further = _further(file, model, rules)
        if further is None or further[1][0] < _FURTHER_SHARE * total:
            break
        rules.append(further[0])
    return tuple(rules), rivals


def renamed(names: Mapping[str, str], rules: tuple[PrefixRule, ...]) -> dict[str, str]:
    """`names` ({now: old}) after the rules; a name that a rule gives wins over one that stays."""
    moved: dict[str, str] = {}
    kept: dict[str, str] = {}
    for now, old in names.items():
        changed = next((new for rule in rules if (new := rule.apply(now)) is not None), None)
        if changed:
            moved.setdefault(changed, old)
        else:
            kept[now] = old
    return moved | {now: old for now, old in kept.items() if now not in moved}


def _apart(one: PrefixRule, other: PrefixRule) -> bool:
    """Whether two rules take other tensors of the file, or fill others of the model."""
    return _disjoint(one.strip, other.strip) or _disjoint(one.add, other.add)


def _disjoint(one: str, other: str) -> bool:
    return not under(one, other) and not under(other, one)


def _further(
    file: Mapping[str, Facts], model: Mapping[str, Facts], rules: list[PrefixRule]
) -> tuple[PrefixRule, Score] | None:
    """The best rule for subtrees that no rule so far touches."""
    if not all(rule.strip for rule in rules):
        return None
    left = {name: facts for name, facts in file.items() if not any(under(name, rule.strip) for rule in rules)}
    filled = {rule.apply(name) for rule in rules for name in file}
    free = {name: facts for name, facts in model.items() if name not in filled}
    if not left or not free:
        return None
    candidates = [
        (rule, score)
        for rule, score in _scored(left, free, rest=True)
        if score[0] and rule.strip and all(_disjoint(rule.strip, known.strip) for known in rules)
    ]
    return candidates[0] if candidates else None


def _scored(
    file: Mapping[str, Facts], model: Mapping[str, Facts], rest: bool = False
) -> list[tuple[PrefixRule, Score]]:
    """The most promising rules, best first; the identity is always among them."""
    file, model = _telling(file, model)
    votes, complete = _votes(file, model, rest)
    scored = [(IDENTITY, _score(IDENTITY, file, model))]
    best = scored[0][1][0]
    for (strip, add), numbers in votes.most_common(_CANDIDATES):
        if complete and numbers < _RIVAL_SHARE * best:
            break  # no rule lands more than was voted for it
        rule = PrefixRule(strip=strip, add=add)
        if rule != IDENTITY:
            scored.append((rule, _score(rule, file, model)))
            best = max(best, scored[-1][1][0])
    return sorted(scored, key=lambda pair: pair[1], reverse=True)


def _telling(file: Mapping[str, Facts], model: Mapping[str, Facts]) -> tuple[Mapping[str, Facts], Mapping[str, Facts]]:
    """Both sides without biases and statistics, whose shapes are too common to tell layers apart."""
    sides = [{name: facts for name, facts in side.items() if len(facts.shape) > 1} for side in (file, model)]
    return (sides[0], sides[1]) if all(sides) else (file, model)


def _score(rule: PrefixRule, file: Mapping[str, Facts], model: Mapping[str, Facts]) -> Score:
    numbers = names = 0
    for name, facts in file.items():
        target = rule.apply(name)
        if target is not None and target in model and model[target].shape == facts.shape:
            numbers += facts.numel
            names += 1
    return numbers, names, -len(rule.strip) - len(rule.add)


def _votes(file: Mapping[str, Facts], model: Mapping[str, Facts], rest: bool) -> tuple[Counter[tuple[str, str]], bool]:
    """For each (strip, add) the numbers in tensors of equal shape and ending, and whether none was skipped.

    Names are compared by their last two segments, so that not every weight is compared with every other,
    and one large layer under another name is no rule for the file. In the `rest` that a first rule
    leaves over, subtrees can be single layers.
    """
    short = rest or min((name.count(".") for name in (*file, *model)), default=0) == 0
    by_ending: dict[tuple[str, Shape], list[list[str]]] = defaultdict(list)
    for name, facts in model.items():
        for ending in _endings(name, short):
            by_ending[ending, facts.shape].append(name.split("."))
    votes: Counter[tuple[str, str]] = Counter()
    asked: Counter[tuple[str, Shape]] = Counter()
    complete = True
    for name, facts in file.items():
        segments = name.split(".")
        voted: set[tuple[str, str]] = set()
        for ending in _endings(name, short):
            key = (ending, facts.shape)
            others = by_ending.get(key, ())
            asked[key] += 1
            if len(others) > _PAIRS_PER_KEY or asked[key] > _PAIRS_PER_KEY:
                complete = False
            if asked[key] <= _PAIRS_PER_KEY:
                voted |= {_heads(segments, other) for other in others[:_PAIRS_PER_KEY]}
        for heads in voted:
            votes[heads] += facts.numel
    return votes, complete


def _endings(name: str, short: bool) -> tuple[str, ...]:
    """What names are compared by; the last segment alone only where a name has no more."""
    segments = name.rsplit(".", 2)
    two = ".".join(segments[-2:])
    return (two, segments[-1]) if short and two != segments[-1] else (two,)


def _heads(one: list[str], other: list[str]) -> tuple[str, str]:
    """What remains of both at the front when their common ending is taken away."""
    same = 0
    while same < min(len(one), len(other)) and one[-1 - same] == other[-1 - same]:
        same += 1
    return ".".join(one[: len(one) - same]), ".".join(other[: len(other) - same])
