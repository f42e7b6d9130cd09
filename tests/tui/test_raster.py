import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.tui.widgets.picture import Look, fit_view, notice, whole
from tui_trainer.tui.widgets.raster import (
    GLYPHS,
    Canvas,
    Frame,
    Layer,
    View,
)
from tui_trainer.tui.widgets.series import Series
from tui_trainer.tui.widgets.ticks import log_ticks, tick_labels, ticks

NAN = math.nan


def series(points: list[tuple[float, float]], capacity: int = 64) -> Series:
    made = Series(capacity)
    made.extend(points)
    return made


def drawn(*layers: Layer, columns: int, rows: int, kind: str = "ascii", view: View | None = None) -> list[str]:
    """The rows of a canvas on which a dot at (x, y) has column x and, counted from below, row y."""
    canvas = Canvas(columns, rows, GLYPHS[kind])
    view = view or View(left=0, right=max(1, canvas.across - 1), bottom=0, top=max(1, canvas.down - 1))
    canvas.draw(layers, Frame(view, canvas.across, canvas.down))
    return ["".join(row) for row in canvas.text]


def raw(*points: tuple[float, float], mark: str = "*") -> Layer:
    return Layer(series=series(list(points)), mark=mark)


def test_points_are_joined_by_straight_lines() -> None:
    assert drawn(raw((0, 0), (3, 3)), columns=4, rows=4) == [
        "   *",
        "  * ",
        " *  ",
        "*   ",
    ]
    assert drawn(raw((0, 2), (4, 0)), columns=5, rows=3) == [
        "*    ",
        " **  ",
        "   **",
    ]


def test_a_steep_line_has_no_holes_and_no_doubled_dots() -> None:
    assert drawn(raw((0, 0), (1, 5)), columns=2, rows=6) == [" *", " *", " *", "* ", "* ", "* "]


def test_several_samples_in_one_column_are_a_bar() -> None:
    assert drawn(raw((1, 0), (1.1, 3), (1.2, 1)), columns=3, rows=4) == [" * "] * 4


def test_a_gap_breaks_the_line() -> None:
    assert drawn(raw((0, 1), (1, 1), (2, NAN), (3, 1), (4, 1)), columns=5, rows=2) == ["** **", "     "]


def test_a_gap_within_a_column_breaks_the_line_too() -> None:
    points = raw((0, 0), (1.9, NAN), (2, 3), (2.1, NAN), (4, 0))
    assert drawn(points, columns=5, rows=4) == ["  *  ", "     ", "     ", "*   *"]
    average = Layer(series=points.series, level=1, mark="*")
    assert drawn(average, columns=5, rows=4)[3][0] == "*"
    assert [row[1] + row[3] for row in drawn(average, columns=5, rows=4)] == ["  "] * 4


def test_braille_dots() -> None:
    assert drawn(raw((0, 0)), columns=1, rows=1, kind="braille") == ["⡀"]
    assert drawn(raw((1, 3)), columns=1, rows=1, kind="braille") == ["⠈"]
    assert drawn(raw((0, 0), (3, 3)), columns=2, rows=1, kind="braille") == ["⡠⠊"]
    assert drawn(raw((0, 0), (0.1, 7)), columns=1, rows=2, kind="braille") == ["⡇", "⡇"]


def test_the_only_sample_of_a_line_is_a_spot_until_the_second_comes() -> None:
    only = Layer(series=series([(3, 5)]), mark="*", spot=1)
    assert drawn(only, columns=3, rows=3, kind="braille") == ["   ", " ⣶⡆", "   "]
    corner = Layer(series=series([(5, 11)]), level=1, mark="*", spot=1)
    assert drawn(corner, columns=3, rows=3, kind="braille") == ["  ⠛", "   ", "   "]
    for values in ([(3, NAN)], [(3, 5), (3, 5)]):
        several = Layer(series=series(values), mark="*", spot=1)
        assert sum(cell != " " for row in drawn(several, columns=3, rows=3, kind="braille") for cell in row) < 2


def test_half_blocks() -> None:
    assert drawn(raw((0, 0), (3, 3)), columns=4, rows=2, kind="half") == ["  ▄▀", "▄▀  "]
    assert drawn(raw((0, 0), (0.1, 3)), columns=1, rows=2, kind="half") == ["█", "█"]


def test_the_later_layer_has_the_cell() -> None:
    assert drawn(raw((0, 0), (3, 0)), raw((2, 0), (3, 0), mark="o"), columns=4, rows=1) == ["**oo"]
    canvas = Canvas(1, 1, GLYPHS["braille"])
    layers = [raw((0, 0)), raw((1, 3))]
    canvas.draw(layers, Frame(View(left=0, right=1, bottom=0, top=3), 2, 4))
    assert (canvas.text, canvas.owner) == ([["⠈"]], [[1]])


def test_average_runs_through_its_values_at_each_sample() -> None:
    step = series([(0, 0), (1, 0), (2, 8)])
    layer = Layer(series=step, level=1, mark="*")
    expected = 8 * 0.4 / (1 - 0.6**3)
    rows = drawn(layer, columns=3, rows=9)
    assert rows[8 - round(expected)][2] == "*"
    assert rows[8][:2] == "**"
    assert rows[0] == "   "


def test_a_slot_wider_than_a_column_is_drawn_over_all_of_its_epochs() -> None:
    coarse = series([(0, 0), (1, 1), (2, 2), (3, 3), (4, 1)], capacity=2)  # slots of 4
    assert drawn(Layer(series=coarse, mark="*"), columns=5, rows=4) == ["**** ", "**** ", "*****", "**** "]


def test_what_is_not_above_zero_is_a_gap_on_a_log_axis() -> None:
    points = [(0.0, 1.0), (1.0, 10.0), (2.0, 0.0), (3.0, -5.0), (4.0, 100.0)]
    view = View(left=0, right=4, bottom=0, top=2, log=True)
    assert drawn(raw(*points), columns=5, rows=3, view=view) == ["    *", " *   ", "*    "]
    mixed = raw((0, -1), (0.1, 10), (0.2, 100), (0.3, 0), (4, 1))
    assert drawn(mixed, columns=5, rows=3, view=view) == ["*    ", "*    ", "    *"]
    average = Layer(series=series([(0, -1), (1, -1)]), level=1, mark="*")
    assert drawn(average, columns=5, rows=3, view=view) == ["     "] * 3


def test_what_lies_outside_is_cut_off_where_it_leaves() -> None:
    line = raw((-100, 0), (0, 0), (4, 4), (100, 4))
    view = View(left=0, right=4, bottom=1, top=3)
    assert drawn(line, columns=5, rows=3, view=view) == ["   * ", "  *  ", " *   "]


@given(
    st.lists(st.tuples(st.floats(0, 0.7), st.floats(-2, 12) | st.just(NAN)), min_size=1, max_size=120),
    st.lists(st.integers(1, 9), min_size=1),
    st.sampled_from([None, 0, 2]),
    st.sampled_from(sorted(GLYPHS)),
)
def test_amending_draws_the_same_as_drawing_anew(
    steps: list[tuple[float, float]], batches: list[int], level: int | None, kind: str
) -> None:
    grows = Series(16)
    layers = [Layer(series=grows, level=level, mark="*"), Layer(series=grows, mark=":")]
    live, anew = Canvas(20, 5, GLYPHS[kind]), Canvas(20, 5, GLYPHS[kind])
    frame = Frame(View(left=0, right=40, bottom=0, top=10), live.across, live.down)
    x, batch = 0.0, 0
    for index, (step, y) in enumerate(steps):
        x += step
        grows.append(x, y)
        batch += 1
        if batch == batches[index % len(batches)] or index == len(steps) - 1:
            first = frame.column(grows.last_x[grows.dirty - 1]) if grows.dirty else 0
            before = [row[:] for row in live.text]
            changed = live.draw(layers, frame, max(0, first))
            for row in range(5):
                differing = [c for c in range(20) if live.text[row][c] != before[row][c]]
                if differing:
                    assert changed[row][0] <= differing[0] <= differing[-1] <= changed[row][1]
            grows.settle()
            batch = 0
    anew.draw(layers, frame)
    assert live.text == anew.text


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 9))
def test_ticks_are_round_and_inside(low: float, span: float, most: int) -> None:
    marks = ticks(low, low + span, most)
    assert 2 <= len(marks) <= most
    assert low - 1e-6 * span <= marks[0] < marks[-1] <= low + span * (1 + 1e-6)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 9))
def test_labels_say_what_the_ticks_are(low: float, span: float, most: int) -> None:
    marks = ticks(low, low + span, most)
    labels = tick_labels(marks, log=False, percent=False)
    assert [float(label) for label in labels] == pytest.approx(marks, rel=1e-9, abs=1e-5 * span)
    assert len(set(labels)) == len(labels)
    assert "-0" not in labels


def test_labels() -> None:
    assert tick_labels([0, 0.5, 1.0], log=False, percent=False) == ["0.0", "0.5", "1.0"]
    assert tick_labels([0, 0.5, 1.0], log=False, percent=True) == ["0 %", "50 %", "100 %"]
    assert tick_labels([0.97, 0.975], log=False, percent=True) == ["97.0 %", "97.5 %"]
    assert tick_labels([0, 2e-6, 4e-6], log=False, percent=False) == ["0", "2e-6", "4e-6"]
    assert tick_labels([0, 200000], log=False, percent=False) == ["0", "2e5"]
    assert tick_labels([-4, -2, math.log10(0.5), 0, 2], log=True, percent=False) == [
        "1e-4",
        "0.01",
        "0.5",
        "1",
        "100",
    ]


@pytest.mark.parametrize(
    ("low", "high", "most", "values"),
    [
        (-4, 0, 9, [1e-4, 1e-3, 1e-2, 1e-1, 1]),
        (-4, 0, 3, [1e-4, 1e-2, 1]),
        (0, 1, 6, [1, 2, 5, 10]),
        (0.2, 0.8, 6, [2, 5]),
    ],
)
def test_log_ticks(low: float, high: float, most: int, values: list[float]) -> None:
    assert [10**u for u in log_ticks(low, high, most)] == pytest.approx(values)


def test_whole_spans_all_series() -> None:
    assert whole([series([(2, 0), (3, 0)]), series([(1, 0)]), Series()]) == (1, 3)
    assert whole([Series()]) is None


@pytest.mark.parametrize(
    ("first", "last", "left", "right"),
    [(0.1, 7.0, 0, 8), (0.0, 0.0, 0, 0.01), (40.2, 41.0, 40, 41), (40.2, 43.1, 40, 44), (2.0, 8.0, 0, 8)],
)
def test_the_epoch_axis_starts_at_zero_or_where_the_run_went_on(
    first: float, last: float, left: float, right: float
) -> None:
    view = fit_view([series([(first, 1.0), (last, 2.0)])], Look(title=""), None)
    assert (view.left, view.right) == pytest.approx((left, right))


def test_a_percent_axis_ends_at_100() -> None:
    view = fit_view([series([(0, 1.0), (1, 1.0)])], Look(title="", percent=True), None)
    assert (view.bottom, view.top) == pytest.approx((0.9, 1.0), abs=0.01)


def test_a_window_fits_the_values_inside() -> None:
    line = series([(0, 100.0), (1, 50.0), (5, 2.0), (6, 1.0), (7, 3.0), (9, 80.0)])
    view = fit_view([line], Look(title="", window=(5, 7)), None)
    assert view.top < 4
    assert (view.left, view.right) == (5, 7)


def test_notice() -> None:
    assert notice([], Look(title="")) == "waiting for the first point"
    assert notice([series([(0, -1.0)])], Look(title="", log=True)) == "nothing above zero"
    assert notice([series([(0, -1.0)])], Look(title="")) == ""
