"""Every kind of dataset on the Data screen: its report, and what the model will see."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, Static

from tests.conftest import ROOT, copy_digits
from tests.data.streams_made import shard
from tests.data.test_idx import write_pair
from tests.tui.conftest import MAKER, until
from tests.tui.test_data_screen import screen_of
from tui_trainer.tui.screens.results import ResultsScreen
from tui_trainer.tui.widgets.form import Form, ValueInput

SAMPLES = ROOT / "sample_data"
CODE = ROOT / "tests" / "data" / "own_code.py"


@pytest.mark.parametrize(
    ("settings", "shown", "caption"),
    [
        ({"data": str(SAMPLES / "wine.csv")}, "one of 3 classes", "rows of 13 numbers"),
        ({"data": str(SAMPLES / "numbers.csv")}, "regression", "rows of 3 numbers"),
        ({"data": str(SAMPLES / "digits_manifest.csv"), "target": ("ink",)}, "ink from 0.25", "sees 32x32 grey"),
        ({"data": "IDX"}, "30: 20 train, 10 val", "sees 32x32 grey"),
        ({"data": str(SAMPLES / "wine.db")}, "178: 138 train", "rows of 13 numbers"),
        ({"data": str(SAMPLES / "digits.jsonl"), "stream": True}, "one of 10 classes", "sees 32x32 grey"),
        ({"data": "TAR"}, "samples", "sees 32x32 grey"),
        ({"data": f"{CODE}:Noisy", "trust_code": True}, "40: 32 train, 8 val", "of shape 4"),
        ({"data": f"{CODE}:ShortStream", "val_data": f"{CODE}:ShortStream", "trust_code": True},
         "as many as the stream has, which is known when an epoch of it has ended", "of shape 2"),
        ({"data": f"{CODE}:Stream", "val_data": f"{CODE}:Stream", "trust_code": True}, "predicts target", "of shape 3"),
    ],
)  # fmt: skip
async def test_the_screen_reports_on_it(
    make_app: MAKER, tmp_path: Path, settings: dict[str, object], shown: str, caption: str
) -> None:
    if settings["data"] == "IDX":
        write_pair(tmp_path, "train", slice(0, 3))
        settings = {"data": str(tmp_path)}
    if settings["data"] == "TAR":
        settings = {"data": shard(tmp_path / "a.tar", range(60))}
    app = make_app("data", **settings)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = screen_of(app)
        await until(pilot, lambda: screen._look is not None and (screen._look.error or screen._look.report is not None))
        assert screen._look is not None
        assert screen._look.error == ""
        report = screen._look.report
        assert report is not None
        assert shown in " ".join(text for fact in report.facts() for text in fact)
        await until(pilot, lambda: caption in str(screen.query_one("#caption", Static).content))
        await pilot.pause()
        assert app.crash is None
        drawn = "\n".join(strip.text for strip in screen._compositor.render_strips())
        assert all(name[:8] in drawn for name in report.classes[:1])


async def test_a_file_is_chosen_as_a_folder_is(make_app: MAKER) -> None:
    app = make_app("data")
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("slash")
        await pilot.pause()
        app.screen.query_one(Input).value = str(SAMPLES / "numbers.csv")
        await pilot.press("enter")
        await until(pilot, lambda: screen_of(app)._look is not None and screen_of(app)._look.report is not None)  # type: ignore[union-attr]
        assert app.draft.text("data") == str(SAMPLES / "numbers.csv")


SOURCES: dict[str, tuple[str, dict[str, str]]] = {  # a row of the README's table -> what is typed for it
    "class folders": ("DIGITS", {}),
    "manifest": (f"{SAMPLES}/digits_manifest.csv", {"target": "ink"}),
    "folder and table": ("DIGITS", {"targets": "TARGETS"}),
    "table": (f"{SAMPLES}/numbers.csv", {}),
    "IDX": ("IDX", {}),
    "torchvision": ("torchvision:MNIST", {"data_root": "ROOT"}),
    "own Dataset": (f"{CODE}:Numbers", {}),
    "own IterableDataset": (f"{CODE}:ShortStream", {"val_data": f"{CODE}:ShortStream"}),
    "database": (f"{SAMPLES}/wine.db", {}),
    "tar": ("TAR", {"target": "y", "task": "regression"}),
    "lines as a stream": (f"{SAMPLES}/digits.jsonl", {"stream": "true"}),
}
SHORT = ("own IterableDataset",)


def made(folder: Path) -> dict[str, str]:
    """What the names in capitals stand for."""
    digits = copy_digits(folder / "digits", classes=2, each=10)
    paths = [path.relative_to(digits) for path in sorted(digits.rglob("*.png"))]
    (folder / "targets.csv").write_text("path,ink\n" + "".join(f"{path},{i}.5\n" for i, path in enumerate(paths)))
    for part, images in (("train", slice(0, 3)), ("t10k", slice(3, 5))):
        write_pair(folder / "MNIST" / "raw", part, images)
    tar = shard(folder / "a.tar", range(60))
    return {"DIGITS": str(digits), "TARGETS": str(folder / "targets.csv"), "IDX": str(folder / "MNIST" / "raw"),
            "ROOT": str(folder), "TAR": tar}  # fmt: skip


@pytest.mark.parametrize(
    "kind", [name if name in SHORT else pytest.param(name, marks=pytest.mark.soak) for name in SOURCES]
)
async def test_every_source_trains_from_the_screens(
    make_app: MAKER, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Typed into the form, started by a key, and tested after it has ended."""
    monkeypatch.chdir(CODE.parent)  # whose code runs unasked
    spec, typed = SOURCES[kind]
    stands_for = made(tmp_path)
    run = tmp_path / "run"
    app = make_app("data", threads=1, device="cpu", epochs=2, output_dir=str(run))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        form = screen_of(app).query_one(Form)
        for name, text in {"data": spec, **typed}.items():
            wanted = stands_for.get(text, text)
            form.go_to(name)
            while app.draft.text(name) != wanted:
                await pilot.press("enter")
                field = form.query_one(ValueInput)
                if field.display:
                    field.value = wanted
                    await pilot.press("enter")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: app.crash or app._train_screen.state.ended)
        assert app._train_screen.state.outcome == "finished", app._train_screen.state.message
        await until(pilot, lambda: app._train_screen._said)
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, ResultsScreen) and app.screen._shown is not None)
    assert (run / "checkpoints" / "final.safetensors").is_file()
