"""The weights screen: every status in a word, every key over layers, what the file is asked, hostile names as text."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from tests.conftest import DIGITS
from tests.tui.conftest import MAKER, until
from tui_trainer.models.lenet import LeNet
from tui_trainer.run_folder import RunFolder, runs_root
from tui_trainer.settings import Value
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.screens.weights import WeightsScreen
from tui_trainer.tui.widgets.fit_panel import FitPanel
from tui_trainer.tui.widgets.layer_detail import LayerDetail
from tui_trainer.tui.widgets.layer_table import LayerTable

HOSTILE = "[@click=app.quit]x[/]\x1b[31m\nline"
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, **_):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, bias=False)
        self.body = nn.ModuleDict({name: nn.Linear(4, 4) for name in "abcdef"})
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        x = self.stem(x).mean((2, 3))
        for layer in self.body.values():
            x = layer(x)
        return self.head(x)
"""
EVERY_STATUS: dict[str, Value] = {
    "model": "net.py:Net",
    "pretrained": "every.safetensors",
    "rename_layers": ("other=body.b",),
    "exclude_layers": ("head",),
}
STATUS_OF = {
    "stem": "adapted",
    "body.a": "load",
    "body.b": "renamed",
    "body.c": "half a layer",
    "body.d": "shape differs",
    "body.e": "not in file",
    "body.f": "damaged",
    "head": "left out",
    HOSTILE: "not in model",
}
LOOKS = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="pictures are compared on one Python only")


def safetensors_of(shapes: dict[str, list[int]], lying: str = "") -> bytes:
    """A file with the numbers 0 to 1 in each tensor; of the one called `lying` the shape is wrong."""
    header, numbers = {}, b""
    for name, shape in shapes.items():
        values = torch.linspace(0, 1, int(torch.tensor(shape).prod())).numpy().tobytes()
        told = [*shape, 3] if name == lying else shape
        header[name] = {"dtype": "F32", "shape": told, "data_offsets": [len(numbers), len(numbers) + len(values)]}
        numbers += values
    packed = json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + numbers


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and weight files, whose names are short."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NET, "utf-8")
    shapes = {"stem.weight": [4, 3, 3, 3]}
    for layer in ("body.a", "other", "body.c", "body.d", "body.f"):
        shapes |= {f"{layer}.weight": [4, 4], f"{layer}.bias": [4]}
    del shapes["body.c.bias"]
    shapes["body.d.weight"] = [4, 5]
    shapes |= {"head.weight": [10, 4], "head.bias": [10], f"{HOSTILE}.weight": [2, 2]}
    Path("every.safetensors").write_bytes(safetensors_of(shapes, lying="body.f.weight"))
    torch.manual_seed(0)
    save_file(LeNet().state_dict(), "lenet.safetensors")
    for name in ("every", "lenet"):
        os.utime(f"{name}.safetensors", (1e9, 1e9))
    return tmp_path


Loaded = Callable[[Pilot[int]], WeightsScreen]


async def looked_at(pilot: Pilot[int]) -> WeightsScreen:
    """The screen, once the model has been built and the file brought over it."""
    (screen,) = (screen for screen in pilot.app.screen_stack if isinstance(screen, WeightsScreen))
    await until(pilot, lambda: screen._facts is not None)
    await pilot.pause()
    return screen


def app_with(make_app: MAKER, **settings: Value) -> TrainerApp:
    """The screen on a model and a file."""
    return make_app("weights", data=str(DIGITS), **settings)


def lines(screen: WeightsScreen) -> list[str]:
    """The rows of the table, as text."""
    table = screen.query_one(LayerTable)
    return [table.render_line(number).text.rstrip() for number in range(len(table.seen) + 1)]


def said(screen: WeightsScreen) -> str:
    """The sentences below the layers."""
    return str(screen.query_one(FitPanel).render())


async def test_each_status_is_a_word_and_hostile_names_are_text(make_app: MAKER) -> None:
    app = app_with(make_app, **EVERY_STATUS)
    async with app.run_test(size=(80, 40)) as pilot:
        screen = await looked_at(pilot)
        table = screen.query_one(LayerTable)
        await pilot.press("tab", "end", "right")
        rows = {layer.name: layer for row in table.seen for layer in row.layers}
        assert {name: layer.status for name, layer in rows.items()} == STATUS_OF
        shown = lines(screen)
        for row, line in zip(table.seen, shown[1:], strict=True):
            if not row.is_group:
                assert STATUS_OF[row.path] in line
                assert line.startswith("✓" if STATUS_OF[row.path] in ("adapted", "load", "renamed") else "·")
        assert all(line.isprintable() for line in shown)
        await pilot.press("down")
        assert "[@click=app.quit]x[/]" in str(screen.query_one(LayerDetail).render())
        assert "5 of 15 tensors" in said(screen)
        assert "stays random: body.c, body.d, body.e, body.f, head" in said(screen)


async def test_layers_paired_by_order_are_a_guess_until_they_are_ticked(make_app: MAKER) -> None:
    state = {
        f"layer{at // 2}.{name.rpartition('.')[2]}": v for at, (name, v) in enumerate(LeNet().state_dict().items())
    }
    save_file(state, "foreign.safetensors")
    app = app_with(make_app, pretrained="foreign.safetensors")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await looked_at(pilot)
        assert [line.split()[2] for line in lines(screen)[1:]] == ["guess"] * 5
        assert "0 of 10 tensors" in said(screen)
        assert "Nothing of this file would be loaded" in said(screen)
        await pilot.press("tab", "a")
        assert app.draft.values["by_order"] is True
        assert "10 of 10 tensors" in said(screen)


async def test_keys_over_layers_and_subtrees_under_a_filter(make_app: MAKER) -> None:
    app = app_with(make_app, model="net.py:Net", pretrained="every.safetensors", rename_layers=("other=body.b",))
    values = app.draft.values
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await looked_at(pilot)

        def chosen() -> tuple[Value, Value]:
            return values["include_layers"], values["exclude_layers"]

        await pilot.press("tab", "down", "space")  # the subtree body
        assert chosen() == ((), ("body",))
        assert "stays random: body.a, body.b," in said(screen)
        await pilot.press("space")
        assert chosen() == ((), ())
        await pilot.press("n")
        assert chosen() == ((), ("**",))
        assert "Nothing of this file would be loaded" in said(screen)
        await pilot.press("a", "slash", *"b?dy.[ab]", "enter")
        assert chosen() == ((), ())
        assert "2 of 9 layers" in str(screen.query_one("#filter-problem").render())
        await pilot.press("space", "i")  # a off; then inverted under the filter
        assert chosen() == ((), ("body.b",))
        await pilot.press("slash", "tab", "escape", "f")  # no filter; the cursor is on body.a still
        assert values["freeze"] == ("body.a",)
        assert "frozen" in lines(screen)[3]
        await pilot.press("up", "f")
        assert values["freeze"] == ("body",)
        await pilot.press("f")
        assert values["freeze"] == ()
        await pilot.press("end", "space")
        assert "It cannot be loaded: the model has no such layer." in [note.message for note in app._notifications]


async def test_a_filter_as_a_regular_expression_and_what_is_none(make_app: MAKER) -> None:
    app = app_with(make_app, pretrained="lenet.safetensors")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await looked_at(pilot)
        info = screen.query_one("#filter-problem", Static)
        await pilot.press("slash", "tab", *"fc[12]")
        assert str(info.render()) == "regular expression: 2 of 5 layers"
        await pilot.press("(")
        assert "not a regular expression" in str(info.render())
        await pilot.press("escape")
        assert len(screen.query_one(LayerTable).seen) == 5


async def test_the_tutorial_s_two_cases_as_presets_and_what_to_freeze(make_app: MAKER) -> None:
    app = app_with(make_app, pretrained="lenet.safetensors")
    values = app.draft.values
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await looked_at(pilot)
        await pilot.press("p", "enter", *["backspace"] * 5, *"fc1", "enter")
        assert values["exclude_layers"] == ("fc1",)
        assert "8 of 10 tensors" in said(screen)
        assert "stays random: fc1" in said(screen)
        await pilot.press("p", "down", "enter")
        assert values["exclude_layers"] == ()
        await pilot.press("p", "down", "down", "enter")
        assert values["freeze"] == ("loaded",)
        assert "freeze takes every layer" in said(screen)
        await pilot.press("p", "down", "down", "down", "enter")
        assert values["freeze"] == ("backbone",)
        assert sum("frozen" in line for line in lines(screen)) == 4


async def test_adapters_are_switched_one_by_one(make_app: MAKER) -> None:
    app = app_with(make_app, **EVERY_STATUS)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await looked_at(pilot)
        assert "adapted" in lines(screen)[1]
        await pilot.press("c", "space", "escape")
        assert app.draft.values["adapters"] == ("class_rows", "positions")
        screen = await looked_at(pilot)
        assert "shape differs" in lines(screen)[1]


async def test_two_weights_that_fit_are_asked_for_once(make_app: MAKER) -> None:
    state = LeNet().state_dict()
    torch.save({"model": state, "ema": {name: tensor + 1 for name, tensor in state.items()}}, "both.pth")
    app = app_with(make_app, pretrained="both.pth")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await looked_at(pilot)
        await until(pilot, lambda: app.screen is not screen)
        await pilot.press("escape")
        assert "Of several weights that fit, ema is shown; w chooses." in said(screen)
        await pilot.press("w", "down", "enter")
        assert app.draft.values["pretrained_group"] == "model"
        await looked_at(pilot)
        assert app.screen is screen


async def test_a_file_is_chosen_from_runs_and_files_or_typed(make_app: MAKER) -> None:
    run = RunFolder(runs_root() / "lenet-[b]first")
    run.checkpoints.mkdir(parents=True)
    run.config.write_text('[model]\nmodel = "lenet"\n', "utf-8")
    save_file(LeNet().state_dict(), run.checkpoints / "best.safetensors")
    app = app_with(make_app)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await looked_at(pilot)
        await pilot.press("o", *"fir")
        assert str(app.screen.query_one(".hint", Static).render()) == "enter takes lenet-[b]first"
        await pilot.press("enter")
        assert app.draft.values["pretrained"] == "lenet-[b]first"
        screen = await looked_at(pilot)
        assert "10 of 10 tensors" in said(screen)
        await pilot.press("o", *"ver", "down")
        assert app.screen.query_one(OptionList).option_count == 1
        await pilot.press("escape", "o", *"./gone", "enter")
        await until(pilot, lambda: "gone" in str(screen.query_one("#model-facts").render()))
        assert app.draft.values["pretrained"] == "./gone"


async def test_layers_take_the_whole_width_of_a_narrow_terminal_while_they_have_the_keys(make_app: MAKER) -> None:
    app = app_with(make_app, pretrained="lenet.safetensors")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await looked_at(pilot)
        table = screen.query_one(LayerTable)
        before = table.size.width
        await pilot.press("tab")
        assert table.size.width > before + 30
        await pilot.press("tab")
        assert table.size.width == before
        await pilot.press("slash")
        assert table.size.width > before + 30
        await pilot.resize_terminal(120, 30)
        await until(pilot, lambda: screen.query_one("Form").display)


async def test_the_image_size_at_which_the_file_would_fit_is_said(make_app: MAKER) -> None:
    app = app_with(make_app, pretrained="lenet.safetensors", image_size=28)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await looked_at(pilot)
        await pilot.press("tab", "down", "down")
        told = " ".join(str(screen.query_one(LayerDetail).render()).split())
        assert (
            "6x6 cells there, 5x5 cells here: trained on pictures of another size; would fit at --image-size 32" in told
        )


# How it looks


def still(*keys: str, numbers: bool = True) -> Callable[[Pilot[int]], object]:
    """Press keys once all is there, and wait until the numbers of the layer under the cursor are read."""

    async def act(pilot: Pilot[int]) -> None:
        screen = await looked_at(pilot)
        await pilot.press(*keys)
        await pilot.pause()
        row = screen.query_one(LayerTable).current
        if numbers and row is not None:
            wanted = len(row.layers[0].tensors)
            await until(pilot, lambda: len(screen.query_one(LayerDetail)._lines) == wanted)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()

    return act


SnapCompare = Callable[..., bool]


@LOOKS
@pytest.mark.parametrize(
    ("size", "keys"), [((80, 24), ()), ((80, 24), ("tab", "down", "down")), ((200, 60), ("tab", "down", "down"))]
)
def test_every_status(snap_compare: SnapCompare, make_app: MAKER, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    act = still(*keys, numbers=bool(keys))
    assert snap_compare(app_with(make_app, **EVERY_STATUS), terminal_size=size, run_before=act)


@LOOKS
def test_without_a_file(snap_compare: SnapCompare, make_app: MAKER) -> None:
    assert snap_compare(app_with(make_app), terminal_size=(80, 24), run_before=still(numbers=False))


@LOOKS
def test_in_ascii(snap_compare: SnapCompare, make_app: MAKER) -> None:
    app = app_with(make_app, **EVERY_STATUS, freeze=("body.a",))
    app.glyphs = "ascii"
    assert snap_compare(app, terminal_size=(80, 24), run_before=still("tab", "slash", *"body", "enter"))


@LOOKS
@pytest.mark.parametrize("key", ["p", "c", "o"])
def test_what_it_asks(snap_compare: SnapCompare, make_app: MAKER, key: str) -> None:
    app = app_with(make_app, model="net.py:Net")
    assert snap_compare(app, terminal_size=(80, 24), run_before=still(key, numbers=False))
