import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.text import display, duration

ANY = st.text(st.characters(), max_size=60)  # surrogates included, as os.fsdecode makes them
DANGEROUS = "\x1b\n\r\t\x00\x07\x7f\x9b\x85\u2028\u2029\u202e\u2066\u2069\u200e\u200f\u061c\u200b\ufeff\udcff\ud800"
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def is_obeyed(char: str) -> bool:
    """Whether a terminal or a bidirectional layout would act on it, or it cannot be written as UTF-8."""
    return (
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(char) in BIDI
        or char in "\u061c\u200e\u200f"
    )


@given(st.lists(st.one_of(ANY, st.sampled_from(DANGEROUS)), max_size=20).map("".join))
def test_nothing_that_a_terminal_obeys_comes_out(name: str) -> None:
    shown = display(name)
    assert not any(is_obeyed(char) for char in shown)
    shown.encode("utf-8")
    assert len(shown) <= 200


@given(st.binary(max_size=80), st.integers(1, 90))
def test_bytes_are_shown_within_the_limit(name: bytes, limit: int) -> None:
    shown = display(name, limit)
    assert not any(is_obeyed(char) for char in shown)
    assert len(shown) <= limit


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=200))
def test_harmless_names_are_shown_as_they_are(name: str) -> None:
    assert display(name) == name


@pytest.mark.parametrize("char", DANGEROUS)
def test_each_dangerous_character_is_made_visible(char: str) -> None:
    shown = display(f"a{char}b")
    assert char not in shown
    assert shown.startswith(("a\\x", "a\\u"))
    assert shown.endswith("b")


def test_a_byte_that_is_not_utf8_is_shown_as_that_byte() -> None:
    assert display(b"caf\xe9.png") == "caf\\xe9.png"
    assert display(Path(os.fsdecode(b"/data/caf\xe9.png"))) == "/data/caf\\xe9.png"


def test_different_names_of_the_same_length_stay_different() -> None:
    assert display("a\x1b") != display("a\x1c")


def test_a_long_name_is_cut_with_an_ellipsis() -> None:
    assert display("x" * 300) == "x" * 199 + "…"
    assert display("x" * 200) == "x" * 200
    assert display("\x1b" * 10_000_000, 20) == "\\x1b" * 4 + "\\x1…"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.01, "0.1 s"),
        (0.42, "0.4 s"),
        (0.96, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_said_as_a_person_says_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words
