import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tui_trainer.tui.widgets.series import (
    LADDER,
    Series,
    describe,
    fit_limits,
    format_epoch,
    format_value,
    gap_trend,
    grown,
    round_step,
    run_length,
)

INF, NAN = math.inf, math.nan
ANY = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-10, 10) | st.sampled_from([NAN, INF, -INF])
SANE = st.floats(-1e6, 1e6)


def filled(values: list[float], capacity: int = 8) -> Series:
    series = Series(capacity)
    series.extend((float(x), y) for x, y in enumerate(values))
    return series


def is_finite(y: float) -> bool:
    return abs(y) <= 1e200


@given(st.lists(ANY, max_size=150), st.sampled_from([2, 4, 8, 64]))
def test_each_slot_holds_exactly_the_range_of_its_samples(values: list[float], capacity: int) -> None:
    series = filled(values, capacity)
    while values and not is_finite(values[0]):  # gaps before the first value take no slot
        values = values[1:]
    assert len(series) <= capacity
    assert len(series) == math.ceil(len(values) / series.stride)
    for slot in range(len(series)):
        held = [y for y in values[slot * series.stride : (slot + 1) * series.stride] if is_finite(y)]
        assert series.low[slot] == min(held, default=INF)
        assert series.high[slot] == max(held, default=-INF)
        assert series.positive[slot] == min((y for y in held if y > 0), default=INF)
        assert series.count[slot] == len(held)


@given(st.lists(ANY, max_size=100))
def test_overall_range_and_gaps(values: list[float]) -> None:
    series = filled(values, 4)
    finite = [y for y in values if is_finite(y)]
    assert (series.lowest, series.highest) == (min(finite, default=INF), max(finite, default=-INF))
    assert series.gaps == len(values) - len(finite)
    assert series.broken == bool(values and not is_finite(values[-1]))


@given(st.lists(SANE | st.just(NAN), min_size=1, max_size=120), st.sampled_from(range(len(LADDER))))
def test_average_is_the_bias_corrected_formula_over_every_sample(values: list[float], level: int) -> None:
    finite = [y for y in values if is_finite(y)]
    assume(finite)
    factor, n = LADDER[level], len(finite)
    weights = [(1 - factor) * factor ** (n - 1 - i) for i in range(n)]
    expected = sum(w * y for w, y in zip(weights, finite, strict=True)) / (1 - factor**n)
    series = filled(values, 4)
    assert series.smooth[level][-1] == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(SANE, st.integers(1, 200))
def test_average_of_a_constant_is_the_constant(value: float, count: int) -> None:
    series = filled([value] * count)
    assert all(set(smooth) == {value} for smooth in series.smooth)


@given(st.lists(SANE, min_size=1, max_size=200))
def test_halving_keeps_epochs_in_order_and_in_place(values: list[float]) -> None:
    series = filled(values, 4)
    assert list(series.first_x) == [slot * series.stride for slot in range(len(series))]
    assert series.last_x[-1] == len(values) - 1
    assert all(first <= last for first, last in zip(series.first_x, series.last_x, strict=True))


def test_stride_doubles_only_when_all_slots_are_full() -> None:
    strides = [filled([0.0] * count, 4).stride for count in (4, 5, 8, 9, 16, 17)]
    assert strides == [1, 2, 2, 4, 4, 8]


def test_x_that_goes_back_or_is_not_finite_is_left_out() -> None:
    series = Series()
    series.extend([(1, 1), (0.5, 9), (NAN, 9), (INF, 9), (1, 2)])
    assert series.misplaced == 3
    assert (list(series.last_x), list(series.low)) == ([1, 1], [1, 2])


def test_a_gap_has_no_value_and_does_not_reach_the_average() -> None:
    series = filled([1.0, NAN, 3.0])
    assert [series.at(x, 0) for x in (-1, 0, 0.5, 1, 2, 9)] == [None, 1.0, 1.0, None, 3.0, 3.0]
    assert series.at(2, 1) == pytest.approx((0.6 * 1 + 3) / 1.6)


def test_dirty_is_the_first_slot_that_changed() -> None:
    series = filled([0.0] * 9, 8)  # 5 slots of 2, the last one half full
    series.settle()
    assert series.dirty == 5
    series.append(9, 1)
    assert series.dirty == 4  # which still had room
    series.settle()
    series.append(10, 1)
    assert series.dirty == 5
    series.extend((x, 1) for x in range(11, 17))
    assert series.dirty == 0  # halved


def test_epoch_means_weigh_samples_and_end_at_whole_epochs() -> None:
    series = Series(4)
    series.extend([(0.5, 1), (1.0, 3), (1.5, NAN), (2.0, 5), (2.5, 7)])
    assert series.epoch_means(2) == {1: 2.0, 2: 5.0}
    assert Series().epoch_means(3) == {}


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ([], 0),
        ([1], 0),
        ([1, 1], 0),
        ([3, 1, 2, 3], 2),
        ([1, 2, 3, 2, 1, 0], -3),
        ([1, 2, 2, 3], 1),
    ],
)
def test_run_length(values: list[float], steps: int) -> None:
    assert run_length(values) == steps


def test_gap_trend_counts_epochs_that_both_lines_have() -> None:
    train = {1: 1.0, 2: 0.9, 3: 0.8, 4: 0.7, 5: 0.6, 6: 0.5, 7: 0.4}
    assert gap_trend(train, {1: 1.1, 3: 1.0, 5: 1.0, 7: 1.0}) == "gap rising for 6 epochs"
    assert gap_trend(train, {5: 1.0, 6: 0.8, 7: 0.6}) == "gap falling for 2 epochs"
    assert gap_trend(train, {6: 0.5, 7: 0.6}) == ""
    assert gap_trend(train, {}) == ""


def test_sentence() -> None:
    train, val = Series(), Series()
    train.extend((k / 2, 1 - k * 0.05) for k in range(1, 16))
    val.extend((k, v) for k, v in enumerate([0.9, 0.8, 0.7, 0.6, 0.7, 0.8, 0.9], 1))
    lines = [("train", train, 0), ("val", val, 0)]
    assert describe(7.0, lines, percent=False) == ("epoch 7.0: train 0.300, val 0.900, gap rising for 3 epochs")
    assert describe(0.5, lines, percent=True) == "epoch 0.5: train 95.0 %"
    val.append(8, NAN)
    assert describe(8.0, lines[1:], percent=False) == "epoch 8.0: val not finite"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.312, "0.312"), (0.0312, "0.0312"), (1.234, "1.23"), (-12.34, "-12.3"), (1234, "1234")],
)
def test_format_value(value: float, text: str) -> None:
    assert format_value(value, percent=False) == text


def test_format_of_tiny_and_huge_values_epochs_and_percent() -> None:
    assert [format_value(y, percent=False) for y in (1e-4, 123456.0)] == ["1.00e-4", "1.23e5"]
    assert format_value(0.9712, percent=True) == "97.1 %"
    assert [format_epoch(x) for x in (7, 7.5, 7.025)] == ["7.0", "7.5", "7.025"]


@given(st.floats(1e-250, 1e250))
def test_round_step_is_the_next_round_number(least: float) -> None:
    step = round_step(least)
    assert least * (1 - 1e-8) <= step <= least * 2.5 * (1 + 1e-8)
    assert f"{step:e}"[0] in "125"
    assert set(f"{step:.6e}"[2:8]) == {"0"}


@given(st.floats(-1e200, 1e200), st.floats(-1e200, 1e200), st.booleans())
def test_limits_hold_the_data_and_stay_when_fitted_again(a: float, b: float, log: bool) -> None:
    if log:
        a, b = abs(a), abs(b)
        assume(a > 0 and b > 0)
    low, high = min(a, b), max(a, b)
    bottom, top = fit_limits(None, low, high, log=log)
    assert bottom < top
    if log:
        low, high = math.log10(low), math.log10(high)
    slack = 1e-6 * (top - bottom)
    assert bottom - slack <= low <= high <= top + slack
    assert fit_limits((bottom, top), *sorted((a, b)), log=log) == (bottom, top)


@given(st.floats(-100, 100), st.floats(0.01, 100))
def test_linear_limits_are_not_much_wider_than_the_data(low: float, span: float) -> None:
    bottom, top = fit_limits(None, low, low + span, log=False)
    assert top - bottom <= span / 0.4


def test_limits_stay_until_the_data_leave_or_shrink() -> None:
    held = fit_limits(None, 0.1, 1.9, log=False)
    assert held == (0.0, 2.0)
    assert fit_limits(held, 0.4, 1.3, log=False) == held
    assert fit_limits(held, 0.4, 2.1, log=False) == (0.0, 2.5)
    assert fit_limits(held, 0.4, 0.8, log=False) == (0.4, 0.8)


def test_limits_of_one_value() -> None:
    assert fit_limits(None, 0.0, 0.0, log=False) == (0.0, 1.0)
    bottom, top = fit_limits(None, 0.5, 0.5, log=False)
    assert 0.4 < bottom < 0.5 < top < 0.6
    assert fit_limits(None, 1.0, 1.0, log=True) == pytest.approx((0.0, math.log10(2)))


@given(st.floats(0, 1e9))
def test_the_epoch_axis_reaches_a_little_beyond_the_run(span: float) -> None:
    assert span <= grown(span) <= max(0.0125, span * 1.34)
