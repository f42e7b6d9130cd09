import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.config import SETTINGS
from tui_trainer.errors import ConfigError
from tui_trainer.settings import Setting, Value

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def values_of(item: Setting) -> st.SearchStrategy[Value]:
    """Values that a setting must accept."""
    made: st.SearchStrategy[Value]
    if item.choices:
        made = st.sampled_from(item.choices)
    elif item.kind is bool:
        made = st.booleans()
    elif item.kind is int:
        made = st.integers(-(2**53) if item.ge is None else int(item.ge), 2**53 if item.le is None else int(item.le))
    elif item.kind is float:
        low, high = (item.gt if item.gt is not None else item.ge), (item.lt if item.lt is not None else item.le)
        made = st.floats(
            low, high, exclude_min=item.gt is not None, exclude_max=item.lt is not None, allow_infinity=False
        )
    elif item.item is str and item.kind is tuple:
        names = st.text(st.characters(codec="utf-8", exclude_characters=",\0"), max_size=9).map(str.strip).filter(len)
        made = st.lists(names, max_size=4).map(tuple)
    elif item.item is int and item.kind is tuple:
        made = st.lists(st.integers(1, 4096), max_size=4).map(tuple)
    elif item.kind is tuple:
        made = st.lists(FLOATS, max_size=4).map(tuple)
    else:
        made = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
    return st.one_of(st.none(), made) if item.optional else made


ANY_SETTING = st.sampled_from(list(SETTINGS.values()))
SETTING_AND_VALUE = ANY_SETTING.flatmap(lambda item: st.tuples(st.just(item), values_of(item)))


@given(SETTING_AND_VALUE)
def test_every_value_is_read_back_from_its_text(pair: tuple[Setting, Value]) -> None:
    item, value = pair
    back = item.from_text(item.to_text(value), item.flag)
    assert back == value
    assert type(back) is type(value)


@given(SETTING_AND_VALUE)
def test_check_keeps_what_it_accepts(pair: tuple[Setting, Value]) -> None:
    item, value = pair
    assert item.check(value, item.name) == value


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**300, 10**400),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def outcome(check: Callable[[], Value]) -> tuple[str, Value]:
    """The sentence of a refusal, or nothing and the value kept."""
    try:
        return "", check()
    except ConfigError as error:
        return str(error), None


@given(ANY_SETTING, JUNK)
def test_whatever_a_file_holds_is_kept_within_bounds_or_refused_by_name(item: Setting, value: object) -> None:
    sentence, kept = outcome(lambda: item.check(value, f"file: {item.name}"))
    if sentence:
        assert f"file: {item.name} = " in sentence
        assert f"{item.name} must be " in sentence
        return
    assert kept is None or type(kept) is item.kind
    assert (kept is None) <= item.optional
    if isinstance(kept, int | float) and not isinstance(kept, bool):
        assert math.isfinite(kept)
        assert item.ge is None or kept >= item.ge
        assert item.gt is None or kept > item.gt
        assert item.le is None or kept <= item.le
        assert item.lt is None or kept < item.lt
    if item.choices and not item.open_ended and kept is not None:
        assert kept in item.choices


@given(ANY_SETTING, st.text(max_size=12))
def test_whatever_is_typed_is_a_value_or_a_sentence(item: Setting, text: str) -> None:
    sentence, kept = outcome(lambda: item.from_text(text, item.flag))
    if sentence:
        assert sentence.startswith(item.flag)
    else:
        assert item.check(kept, item.flag) == kept


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("batch_size", "0", "--batch-size = 0: batch_size must be a whole number, at least 1 and at most 1,000,000."),
        ("batch_size", "-1", "--batch-size = -1: batch_size must be a whole number, at least 1 and at most 1,000,000."),
        ("batch_size", "x", "--batch-size = x: batch_size must be a whole number, at least 1 and at most 1,000,000."),
        ("batch_size", "", "--batch-size = : batch_size must be a whole number, at least 1 and at most 1,000,000."),
        ("batch_size", "1.0", "--batch-size = 1.0: batch_size must be a whole number, at least 1 and"),
        ("lr", "nan", "--lr = nan: lr must be a number, greater than 0 and at most 1,000."),
        ("lr", "inf", "--lr = inf: lr must be a number, greater than 0 and at most 1,000."),
        ("val_fraction", "0", "--val-fraction = 0.0: val_fraction must be a number, greater than 0 and less than 1."),
        ("val_fraction", "1", "--val-fraction = 1.0: val_fraction must be a number, greater than 0 and less than 1."),
        ("image_size", "0", 'image_size must be a whole number, at least 1 and at most 4,096, or "auto" (pixels).'),
        ("channels", "2", "--channels = 2: channels must be one of 1, 3, auto."),
        ("resize", "stretch", "--resize = stretch: resize must be one of squash, crop, pad."),
        ("resize", "Squish", "--resize = Squish: resize must be one of squash, crop, pad; did you mean squash?"),
        ("optimizer", "adamm", "radam, rprop; did you mean adam or radam?"),
        ("shuffle", "maybe", "--shuffle = maybe: shuffle must be true or false."),
        ("mean", "1,x", "mean must be a list of numbers."),
        ("mean", "1,nan", "mean must be a list of numbers."),
        ("epochs", "9" * 400, "epochs must be a whole number, at least 1 and at most 1,000,000."),
        ("epochs", "9" * 5000, "epochs must be a whole number, at least 1 and at most 1,000,000."),
    ],
)
def test_a_refusal_names_the_setting_the_value_and_the_bounds(name: str, text: str, sentence: str) -> None:
    item = SETTINGS[name]
    with pytest.raises(ConfigError) as caught:
        item.from_text(text, item.flag)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", SETTINGS)
def test_auto_is_taken_where_it_means_something_and_nowhere_else(name: str) -> None:
    item = SETTINGS[name]
    if item.optional:
        assert item.from_text("auto", item.flag) is None
        assert item.from_text("AUTO", item.flag) is None
        assert item.check("auto", name) is None
    elif item.kind is not str and item.item is not str:
        with pytest.raises(ConfigError):
            item.from_text("auto", item.flag)


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_not_taken_for_a_number(value: bool) -> None:
    for name in ("batch_size", "lr", "channels"):
        with pytest.raises(ConfigError):
            SETTINGS[name].check(value, name)


def test_a_whole_number_is_taken_where_a_number_is_wanted() -> None:
    assert SETTINGS["lr"].check(1, "lr") == 1.0
    assert type(SETTINGS["lr"].check(1, "lr")) is float
    assert SETTINGS["mean"].check([0, 1], "mean") == (0.0, 1.0)


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9"])
def test_text_that_no_file_could_hold_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be a list of texts"):
        SETTINGS["freeze"].from_text(f"conv1,{text}", "--freeze")
    with pytest.raises(ConfigError, match=r"--data = .*: data must be text"):
        SETTINGS["data"].from_text(text, "--data")


def test_a_value_from_outside_is_shown_without_control_characters() -> None:
    with pytest.raises(ConfigError) as caught:
        SETTINGS["optimizer"].from_text("\x1b[31m\u202e", "--optimizer")
    assert "\\x1b[31m\\u202e" in str(caught.value)


def test_the_shortest_text_that_is_the_same_number_is_written() -> None:
    assert SETTINGS["lr"].to_text(0.001) == "0.001"
    assert SETTINGS["lr"].to_text(1.0) == "1"
    assert SETTINGS["mean"].to_text((0.123456789, 0.5)) == "0.123456789,0.5"
    assert SETTINGS["shuffle"].to_text(False) == "false"
    assert SETTINGS["image_size"].to_text(None) == "auto"


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_says_what_it_is(name: str) -> None:
    item = SETTINGS[name]
    assert item.help.endswith((".", ")"))
    assert item.flag == "--" + name.replace("_", "-")
    if item.default is not None:
        assert item.check(item.default, name) == item.default
