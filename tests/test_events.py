import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer import events
from tui_trainer.events import Evaluated, Event, Warned

NAMES = st.text(st.one_of(st.characters(codec="utf-8"), st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)))
STRATEGIES: dict[str, st.SearchStrategy[object]] = {
    "str": st.one_of(NAMES, st.sampled_from(["nan", "inf", "-inf"])),
    "int": st.integers(0, 2**53),
    "float": st.floats(),
    "bool": st.booleans(),
    "tuple[str, ...]": st.lists(NAMES, max_size=3).map(tuple),
    "tuple[int, ...]": st.lists(st.integers(0, 2**53), max_size=3).map(tuple),
    "Mapping[str, float]": st.dictionaries(NAMES, st.floats(), max_size=4),
}


def made(cls: type[Event]) -> st.SearchStrategy[Event]:
    return st.builds(cls, **{field.name: STRATEGIES[str(field.type)] for field in dataclasses.fields(cls)})


def same(one: object, other: object) -> bool:
    """Equality under which a NaN equals itself."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other and type(one) is type(other)


@pytest.mark.parametrize("kind", events.KINDS)
@given(data=st.data())
def test_every_event_is_read_back_from_its_line(kind: str, data: st.DataObject) -> None:
    event = data.draw(made(events.KINDS[kind]))
    line = events.to_json(event)
    assert line.isascii()
    assert line.isprintable()
    back = events.from_json(line)
    assert type(back) is type(event)
    for field in dataclasses.fields(event):
        assert same(getattr(back, field.name), getattr(event, field.name)), field.name


def test_the_kinds_are_known() -> None:
    assert sorted(events.KINDS) == [
        "checkpoint_saved", "evaluated", "evaluated_now", "paused", "progress", "resumed", "run_ended", "run_started",
        "setting_changed", "warned",
    ]  # fmt: skip


def test_a_line_is_strict_json_with_version_and_kind() -> None:
    event = Evaluated(epoch=1, step=2, lr=0.1, metrics={"val_loss": math.nan, "x": -math.inf}, best=False, seconds=1.0)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    record = json.loads(events.to_json(event), parse_constant=refuse)
    assert (record["v"], record["kind"]) == (events.SCHEMA_VERSION, "evaluated")
    assert record["metrics"] == {"val_loss": "nan", "x": "-inf"}


def test_an_unknown_kind_is_passed_over_and_an_unknown_key_dropped() -> None:
    assert events.from_json('{"v": 9, "kind": "danced", "step": 1}') is None
    assert events.from_json('{"v": 9}') is None
    event = events.from_json('{"v": 9, "kind": "paused", "time": 1.0, "step": 1, "mood": "calm"}')
    assert event == events.Paused(time=1.0, step=1)


def test_a_run_recorded_before_bad_files_were_counted_is_read() -> None:
    line = (
        '{"v": 1, "kind": "run_started", "time": 1.0, "model": "lenet", "parameters": 9, "device": "cpu", '
        '"classes": ["a", "b"], "train_samples": 8, "val_samples": 2, "steps_per_epoch": 4, "epochs": 2}'
    )
    event = events.from_json(line)
    assert isinstance(event, events.RunStarted)
    assert (event.train_samples, event.train_bad, event.val_bad) == (8, 0, 0)


@pytest.mark.parametrize(
    "line",
    [
        "", "{", "5", "[]", "null", '{"kind": "paused"}', '{"kind": "run_started", "classes": 5}',
        '{"kind": "evaluated", "metrics": 5}', '{"kind": "evaluated", "metrics": {"a": null}}',
        '{"kind": "evaluated", "metrics": {"a": "b"}}', '{"kind": "paused", "step": 1, "time": []}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_line_that_is_no_event_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of json or of from_json
        events.from_json(line)


def test_an_event_cannot_be_changed_and_takes_keywords_only() -> None:
    event = Warned(topic="data", message="x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.message = "y"
    with pytest.raises(TypeError):
        Warned("data", "x")
    assert event.time > 1.7e9


def test_what_differs_between_two_equal_runs_is_a_field() -> None:
    fields = {field.name for cls in events.KINDS.values() for field in dataclasses.fields(cls)}
    assert set(events.TIMES) <= fields
