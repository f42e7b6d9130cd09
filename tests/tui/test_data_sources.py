"""Every kind of dataset on the Data screen: its report, and what the model will see."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, Static

from tests.conftest import ROOT
from tests.data.streams_made import shard
from tests.data.test_idx import write_pair
from tests.tui.conftest import MAKER, until
from tests.tui.test_data_screen import screen_of

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
    ],
)
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


async def test_a_file_is_chosen_as_a_folder_is(make_app: MAKER) -> None:
    app = make_app("data")
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("slash")
        await pilot.pause()
        app.screen.query_one(Input).value = str(SAMPLES / "numbers.csv")
        await pilot.press("enter")
        await until(pilot, lambda: screen_of(app)._look is not None and screen_of(app)._look.report is not None)  # type: ignore[union-attr]
        assert app.draft.text("data") == str(SAMPLES / "numbers.csv")
