import math
from typing import ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.geometry import Region
from textual.pilot import Pilot

from tests.tui.conftest import until
from tui_trainer.events import Evaluated, Progress
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.picture import Line
from tui_trainer.tui.widgets.run_curves import RunCurves


class Alone(App[None]):
    """One chart, which has the whole terminal."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "layer_out", "Out")]

    def __init__(self, chart: Chart) -> None:
        super().__init__()
        self.chart = chart
        self.told: list[str] = []
        self.escaped = 0

    def compose(self) -> ComposeResult:
        yield self.chart

    def on_mount(self) -> None:
        self.chart.focus()

    def on_chart_crosshair_moved(self, message: Chart.CrosshairMoved) -> None:
        self.told.append(message.text)

    def action_layer_out(self) -> None:
        self.escaped += 1


def rows(chart: Chart) -> list[str]:
    """What the chart shows, row by row."""
    return [strip.text for strip in chart.render_lines(chart.size.region)]


def whole_run(epochs: int = 8, per_epoch: int = 10) -> Chart:
    """A falling train loss, and a validation loss that rises from epoch 4 on."""
    chart = Chart("loss", [Line(name="train"), Line(name="val", smooth=False)])
    for step in range(1, epochs * per_epoch + 1):
        chart.append("train", step / per_epoch, 2 / (1 + step / per_epoch))
        if step % per_epoch == 0:
            epoch = step // per_epoch
            chart.append("val", epoch, 0.5 + 0.1 * abs(epoch - 4))
    return chart


async def shown(pilot: Pilot[None], chart: Chart) -> list[str]:
    chart.flush()
    await pilot.pause()
    return rows(chart)


@pytest.mark.parametrize("size", [(20, 5), (80, 10), (200, 60), (5, 3), (1, 1)])
@pytest.mark.parametrize("glyphs", ["braille", "half", "ascii"])
async def test_every_row_fills_the_width(size: tuple[int, int], glyphs: str) -> None:
    chart = whole_run()
    chart.glyphs = glyphs
    async with Alone(chart).run_test(size=size) as pilot:
        await pilot.press("left", "z")
        lines = await shown(pilot, chart)
    assert [len(line) for line in lines] == [size[0]] * size[1]
    if glyphs == "ascii":
        assert all(line.isascii() for line in lines)


async def test_title_legend_axes_and_line() -> None:
    chart = whole_run()
    async with Alone(chart).run_test(size=(60, 12)) as pilot:
        lines = await shown(pilot, chart)
        assert lines[0].rstrip() == "loss   train 0.222   val 0.900"
        labels = [line[:6] for line in lines[1:10] if line[5] == "┤"]
        assert labels == ["  2.0┤", "  1.5┤", "  1.0┤", "  0.5┤", "  0.0┤"]
        assert lines[10][5] == "└"
        assert lines[11].split() == ["epoch", "0", "2", "4", "6", "8"]
        assert any("\u2800" < cell <= "\u28ff" for line in lines[1:10] for cell in line[6:])


async def test_percent_and_ascii() -> None:
    chart = Chart("accuracy", [Line(name="train"), Line(name="old", ghost=True)], percent=True, glyphs="ascii")
    chart.extend("train", [(1, 0.2), (2, 0.97)])
    chart.extend("old", [(1, 0.1), (2, 0.5)])
    async with Alone(chart).run_test(size=(60, 12)) as pilot:
        lines = await shown(pilot, chart)
    assert lines[0].rstrip() == "accuracy   * train 97.0 %   . old 50.0 %"
    assert lines[1].startswith("100 %+")
    assert {cell for line in lines[1:9] for cell in line[6:]} == {" ", "*", "."}


async def test_the_spot_of_a_first_sample_goes_with_the_second() -> None:
    chart = whole_run()
    chart.set_series(Line(name="other", smooth=False))
    async with Alone(chart).run_test(size=(60, 12)) as pilot:
        without = await shown(pilot, chart)
        chart.append("other", 3, 1.8)
        one = await shown(pilot, chart)
        assert sum(a != b for a, b in zip("".join(without[1:]), "".join(one[1:]), strict=True)) > 1
        chart.append("other", 4, 1.8)
        two = await shown(pilot, chart)
        chart._redraw()
        assert two == await shown(pilot, chart)


async def test_the_middles_of_names_are_left_out_where_there_is_no_room() -> None:
    chart = Chart("loss", glyphs="ascii")
    for end in "ab":
        chart.append(f"resnet18-on-the-photos-of-last-summer-{end}", 1, 1)
    chart.append("c", 1, 1)
    async with Alone(chart).run_test(size=(60, 12)) as pilot:
        header = (await shown(pilot, chart))[0]
        assert header.rstrip() == "loss * resnet1~ummer-a 1.00 o resnet1~ummer-b 1.00 x c 1.00"


async def test_empty_chart_says_what_it_waits_for() -> None:
    chart = Chart("loss", [Line(name="train")], log=True)
    async with Alone(chart).run_test(size=(60, 12)) as pilot:
        assert "waiting for the first point" in "".join(await shown(pilot, chart))
        assert chart.sentence() == "waiting for the first point"
        await pilot.press("left", "z", "Z", "end")
        chart.append("train", 0, math.nan)
        lines = await shown(pilot, chart)
        assert "no finite value yet" in "".join(lines)
        assert "train not finite" in lines[0]
        chart.append("train", 0, -1)
        assert "nothing above zero" in "".join(await shown(pilot, chart))
        chart.append("train", 1, 0.5)
        lines = await shown(pilot, chart)
        assert "nothing" not in "".join(lines)
        assert "train 0.500" in lines[0]


async def test_hostile_names_reach_the_terminal_made_visible() -> None:
    chart = Chart("lo\x1b[31mss [/]")
    chart.append("[red]a\x1b]0;b\x07", 1, 1)
    async with Alone(chart).run_test(size=(80, 8)) as pilot:
        header = (await shown(pilot, chart))[0]
    assert header.startswith("lo\\x1b[31mss [/]   [red]a\\x1b]0;b\\x07 1.00")


async def test_appending_draws_nothing_and_a_flush_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    chart = whole_run(epochs=9)
    async with Alone(chart).run_test(size=(120, 40)) as pilot:
        await shown(pilot, chart)
        asked: list[tuple[Region, ...]] = []
        monkeypatch.setattr(chart, "refresh", lambda *regions: asked.append(regions))
        chart.extend("train", [(9.02, 0.2), (9.04, 0.21), (9.06, 0.19)])
        assert asked == []
        chart.flush()
        assert len(asked) == 1
        assert 1 < len(asked[0]) <= 4
        assert all(region.height == 1 for region in asked[0])
        assert sum(region.area for region in asked[0] if region.y > 0) <= 12
        chart.flush()
        assert len(asked) == 1


async def test_a_live_chart_looks_like_one_drawn_at_once() -> None:
    live, late = Chart("loss", smoothing=0.6), Chart("loss", smoothing=0.6)
    points = [(i / 40, math.sin(i / 9) + (i * 7919 % 13) / 9) for i in range(600)]
    for chart in (live, late):
        chart.append("train", *points[0])
    async with Alone(live).run_test(size=(60, 14)) as pilot:
        for start in range(1, len(points), 31):
            live.extend("train", points[start : start + 31])
            shown_live = await shown(pilot, live)
    late.extend("train", points[1:])
    async with Alone(late).run_test(size=(60, 14)) as pilot:
        assert await shown(pilot, late) == shown_live


async def test_crosshair_moves_over_samples_and_says_them() -> None:
    chart = whole_run()
    app = Alone(chart)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("left")
        assert app.told == ["epoch 8.0: train 0.222, val 0.900, gap rising for 5 epochs"]
        assert "epoch 8.0" in rows(chart)[0]
        column = [row[79] for row in rows(chart)[1:9]]
        assert column.count("│") >= 5
        await pilot.press("left")
        assert app.told[-1].startswith("epoch 7.9: train 0.225, val 0.800")
        await pilot.press("shift+left")
        epoch = float(app.told[-1].split()[1].rstrip(":"))
        assert 6.7 <= epoch <= 7.0
        assert app.told[-1] == chart.sentence()
        await pilot.press("right", "shift+right", "shift+right")
        assert app.told[-1].startswith("epoch 8.0")
        for _ in range(10):
            await pilot.press("shift+left")
        assert app.told[-1].startswith("epoch 0.1: train 1.82")


async def test_crosshair_steps_over_wide_gaps_between_samples() -> None:
    chart = Chart("loss")
    chart.extend("val", [(1, 1.0), (2, 2.0), (3, 3.0)])
    app = Alone(chart)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("left", "left", "left", "left", "right")
    assert [text[6:9] for text in app.told] == ["3.0", "2.0", "1.0", "1.0", "2.0"]


async def test_escape_clears_the_crosshair_and_then_is_left_to_others() -> None:
    chart = whole_run()
    app = Alone(chart)
    async with app.run_test(size=(80, 12)) as pilot:
        without = await shown(pilot, chart)
        await pilot.press("left", "escape")
        assert (app.told[-1], app.escaped, rows(chart)) == ("", 0, without)
        await pilot.press("escape")
        assert app.escaped == 1


async def test_zoom_freezes_the_view_until_end() -> None:
    chart = whole_run()
    async with Alone(chart).run_test(size=(80, 12)) as pilot:
        followed = await shown(pilot, chart)
        await pilot.press("z")
        zoomed = rows(chart)
        assert "zoom ×2" in zoomed[0]
        assert zoomed[-1].split()[1:] == ["5", "6", "7", "8"]
        chart.extend("train", [(8 + i / 10, 5.0) for i in range(1, 60)])
        after = await shown(pilot, chart)
        assert [row[:-1] for row in after[1:]] == [row[:-1] for row in zoomed[1:]]  # the line leaves at the edge
        assert "train 5.00" in after[0]
        await pilot.press("end")
        assert "zoom" not in rows(chart)[0]
        assert float(rows(chart)[-1].split()[-1]) > float(followed[-1].split()[-1])


async def test_zoom_keeps_the_crosshair_in_the_middle_and_goes_back() -> None:
    chart = whole_run()
    async with Alone(chart).run_test(size=(80, 12)) as pilot:
        await pilot.press("left", *["shift+left"] * 4, "z", "z")
        assert "zoom ×4" in rows(chart)[0]
        at = [row.find("│", 7) for row in rows(chart)[1:9]]
        assert 40 <= max(at) <= 46
        await pilot.press("Z", "Z")
        assert "zoom" not in rows(chart)[0]


async def test_zoom_ends_where_there_is_no_more_to_see() -> None:
    chart = whole_run()
    chart.extend("train", [(8.0, y / 9) for y in range(40)])  # at one epoch, which no zoom can part
    async with Alone(chart).run_test(size=(80, 12)) as pilot:
        for _ in range(40):
            chart.zoom_in()
        lines = await shown(pilot, chart)
        assert "zoom ×4096" in lines[0]
        assert "8.000" in lines[-1]


async def test_log_scale_and_smoothing_keys() -> None:
    chart = Chart("loss", [Line(name="train"), Line(name="val", smooth=False)])
    chart.extend("train", [(0, 100.0), (1, 0.001)])
    chart.extend("val", [(0, 100.0), (1, 0.001)])
    async with Alone(chart).run_test(size=(80, 14)) as pilot:
        linear = await shown(pilot, chart)
        await pilot.press("y")
        lines = rows(chart)
        assert lines[0].rstrip().endswith("log")
        labels = {line[:6].strip(" ┤") for line in lines[1:12] if line[5] == "┤"}
        assert labels <= {"0.001", "0.01", "0.1", "1", "10", "100"}
        assert len(labels) >= 3
        await pilot.press("y", "minus")
        assert rows(chart) == linear
        await pilot.press("plus")
        smoothed = rows(chart)[0]
        assert "smooth 0.6" in smoothed
        assert "train 37.5" in smoothed  # (0.6 * 100 + 0.001) / 1.6
        assert "val 0.00100" in smoothed
        await pilot.press(*["plus"] * 9)
        assert "smooth 0.99" in rows(chart)[0]


async def test_set_series_replaces_and_clear_keeps_the_lines() -> None:
    chart = whole_run()
    async with Alone(chart).run_test(size=(80, 12)) as pilot:
        await pilot.press("left")
        chart.set_series(Line(name="old", ghost=True), [(0, 3.0), (20, 1.0)])
        lines = await shown(pilot, chart)
        assert lines[0].startswith("loss   train 0.222   val 0.900   old ")
        assert lines[-1].split()[-1] == "20"
        chart.set_series(Line(name="old", ghost=True), [(0, 3.0), (4, 2.5)])
        assert (await shown(pilot, chart))[-1].split()[-1] == "8"
        chart.clear()
        lines = await shown(pilot, chart)
        assert lines[0].split() == ["loss", "train", "val", "old"]
        assert "waiting for the first point" in "".join(lines)


async def test_resize_and_themes_draw_anew() -> None:
    chart = whole_run()
    async with Alone(chart).run_test(size=(80, 12)) as pilot:
        before = chart.render_line(0)
        pilot.app.theme = "textual-light"
        await until(pilot, lambda: chart.render_line(0) != before)
        assert chart.render_line(0).text == before.text
        await pilot.resize_terminal(40, 8)
        await until(pilot, lambda: [len(line) for line in rows(chart)] == [40] * 8)


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark", "ansi-light"])
async def test_lines_bands_and_ghosts_differ_in_every_theme(theme: str) -> None:
    chart = whole_run()
    async with Alone(chart).run_test() as pilot:
        pilot.app.theme = theme
        await pilot.pause()
        names = [f"chart--line-{colour}" for colour in range(1, 5)]
        styles = [chart.get_component_rich_style(name) for name in names]
        assert len({style.color for style in styles}) == 4
        for name, style in zip(names, styles, strict=True):
            band = chart.get_component_rich_style(name.replace("line", "band"))
            assert (band.color, band.dim) == (style.color, True)


def test_keys_have_tooltips() -> None:
    assert all(binding.tooltip for binding in Chart.BINDINGS)


async def test_an_epoch_of_unknown_length_is_drawn_and_put_right_when_it_has_ended() -> None:
    """A stream of 300 batches, of which nobody knows before."""
    curves = RunCurves()

    class Shown(App[None]):
        def compose(self) -> ComposeResult:
            yield curves

    def step(epoch: int, batch: int, batches: int) -> Progress:
        metrics = {"batch_loss": float(batch), "batch_top1": 0.5}
        return Progress(
            part="train", epoch=epoch, step=batch, batch=batch, batches=batches, samples=1, lr=0.1, metrics=metrics,
            seconds=1.0, images_per_second=1.0, eta_seconds=0.0,
        )  # fmt: skip

    async with Shown().run_test():
        xs = curves._charts["loss"]._series["train"].last_x
        for batch in range(1, 301):
            curves.add(step(0, batch, 0))
            assert 0 < xs[-1] <= 1
            assert max(abs(x - (i + 1) / batch * xs[-1]) for i, x in enumerate(xs)) < 1e-9
        curves.add(Evaluated(epoch=0, step=300, lr=0.1, metrics={"val_loss": 1.0}, best=True, seconds=1.0))
        curves.add(step(1, 150, 300))
        assert max(abs(x - (i + 1) / 300) for i, x in enumerate(xs[:300])) < 1e-9
        assert xs[-1] == 1.5
        assert curves._charts["loss"]._series["train"].misplaced == 0
