from __future__ import annotations

import pytest

from tui_trainer.tui.widgets.rate_bars import Bar, rows

HEADS = ("workers", "loader/s", "train/s", "waits")
BARS = [
    Bar(label="0", outer=1000.0, inner=250.0, note="75%"),
    Bar(label="12", outer=2000.0, inner=2000.0, note="0%", chosen=True),
    Bar(label="16", outer=0.0, inner=0.0, note="..."),
]


@pytest.mark.parametrize("width", [34, 40, 80, 158])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_rows_are_of_one_length_and_fit(width: int, ascii_only: bool) -> None:
    lines = rows(HEADS, BARS, width, ascii_only=ascii_only).plain.splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= width


def test_lengths_of_bars_are_to_scale() -> None:
    _, first, second, third = rows(HEADS, BARS, 69, ascii_only=True).plain.splitlines()
    room = second.count("#")
    assert (second.count("-"), third.count("#"), third.count("- -")) == (0, 0, 0)
    assert abs(first.count("#") - room / 8) <= 1
    assert abs(first.count("#") + first.count("-") - room / 2) <= 1


def test_ascii_is_ascii_and_marks_the_chosen_one() -> None:
    text = rows(HEADS, BARS, 60, ascii_only=True).plain
    assert text.isascii()
    assert [line[0] for line in text.splitlines()] == ["w", " ", ">", " "]


def test_a_little_more_is_seen_in_eighths_of_a_cell() -> None:
    drawn = [rows(HEADS, [Bar(label="0", outer=80.0, inner=i), BARS[0]], 50).plain for i in (400.0, 405.0)]
    assert drawn[0] != drawn[1]


def test_the_chosen_one_has_the_colour_of_success_unless_it_is_old_news() -> None:
    styles = {str(span.style) for span in rows(HEADS, BARS, 60).spans}
    assert any("$text-success" in style for style in styles)
    old = {str(span.style) for span in rows(HEADS, BARS, 60, dim=True).spans}
    assert not any("$text-success" in style for style in old)


def test_no_bars_no_heads() -> None:
    assert rows(HEADS, [], 60).plain == ""
