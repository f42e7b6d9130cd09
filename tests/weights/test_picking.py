from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.config import SETTINGS
from tui_trainer.weights.layer_names import Selection
from tui_trainer.weights.picking import EVERYTHING, cover, pattern_of, patterns_for

SEGMENT = st.text(alphabet="ab*?[]1 ,é", min_size=1, max_size=3)
NAMES = st.lists(st.lists(SEGMENT, min_size=1, max_size=3).map(".".join), min_size=1, max_size=8, unique=True)
RESNET = ["conv1", "bn1", *(f"layer{n}.{b}.{k}" for n in (1, 2) for b in (0, 1) for k in ("conv1", "bn1")), "fc"]


def chosen(names, include, exclude):
    return {
        name
        for name in names
        if (not include or Selection(include).matches(name)) and not Selection(exclude).matches(name)
    }


PATTERN = st.lists(st.text(alphabet="ab*?[]", min_size=1, max_size=3) | st.just("**"), min_size=1, max_size=3)


@given(NAMES, st.lists(PATTERN.map(".".join), max_size=4))
def test_what_a_selection_looks_up_is_what_its_patterns_say(names, patterns):
    def begins(segments, wanted):
        if not wanted:
            return True
        if wanted[0] == "**":
            return any(begins(segments[at:], wanted[1:]) for at in range(len(segments) + 1))
        return bool(segments) and fnmatch.fnmatchcase(segments[0], wanted[0]) and begins(segments[1:], wanted[1:])

    selection = Selection(patterns)
    said = {p for p in patterns for n in names if begins(n.split("."), p.split("."))}
    assert {n for n in names if selection.matches(n)} == {
        n for n in names if any(begins(n.split("."), p.split(".")) for p in patterns)
    }
    assert set(selection.unused) == set(patterns) - said


def test_whole_subtrees_are_one_pattern():
    assert cover(RESNET, [n for n in RESNET if n.startswith("layer1")]) == ("layer1",)
    assert cover(RESNET, ["layer1.0.conv1", "layer1.0.bn1", "fc"]) == ("layer1.0", "fc")


def test_the_shorter_of_both_ways_is_taken():
    assert patterns_for(RESNET, set(RESNET) - {"fc"}) == ((), ("fc",))
    assert patterns_for(RESNET, {"fc"}) == (("fc",), ())
    assert patterns_for(RESNET, RESNET) == ((), ())
    assert patterns_for(RESNET, ()) == ((), (EVERYTHING,))


def test_the_user_s_own_patterns_stay_where_they_can():
    every_bn = {name for name in RESNET if name.endswith("bn1")}
    wanted = set(RESNET) - every_bn
    assert patterns_for(RESNET, wanted - {"fc"}, (), ("**.bn1",)) == ((), ("**.bn1", "fc"))
    assert patterns_for(RESNET, wanted, (), ("**.bn1", "fc")) == ((), ("**.bn1",))
    include, exclude = patterns_for(RESNET, wanted | {"bn1"}, (), ("**.bn1",))
    assert chosen(RESNET, include, exclude) == wanted | {"bn1"}


def test_a_name_with_any_characters_can_be_said():
    for name in ("a*b.[c]", " x ", "a,b", "**", "..", "x\x00y", ""):
        pattern = pattern_of(name)
        assert Selection([pattern]).matches(name) or not name.strip(".")
        assert SETTINGS["exclude_layers"].from_text(pattern, "x") == (pattern,)


@given(NAMES, st.data())
def test_patterns_choose_all_that_is_wanted(names, data):
    wanted = set(data.draw(st.lists(st.sampled_from(names), unique=True)))
    got = chosen(names, *patterns_for(names, wanted))
    below = {name for name in names for other in wanted if name.startswith(other + ".")}
    assert wanted - got == set() or below or any("," in name or " " in name for name in names)
    include, exclude = patterns_for(names, wanted)
    as_text = [SETTINGS["include_layers"].to_text(patterns) for patterns in (include, exclude)]
    assert [SETTINGS["include_layers"].from_text(text, "x") for text in as_text] == [include, exclude]
