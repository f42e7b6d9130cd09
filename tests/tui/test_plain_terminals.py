"""Terminals of sixteen colours, and without any: every screen on a real one of 80x24, by what is written to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import DIGITS
from tests.tui.pty_app import PtyApp
from tests.tui.test_journey import MAIN

MANY_COLOURS = re.compile(rb"\x1b\[[0-9;]*[34]8;[25];")
ANY_COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
SCREENS = (
    (b"1", r"1,438 train.*val_fraction"),
    (b"2", r"batch_size.*45 batches|45 batches.*batch_size"),
    (b"3", r"81,194.*pretrained"),
    (b"4", r"learning rate.*lr_scheduler"),
    (b"v", r"--epochs 2"),
    (b"\x1b", r"learning rate.*lr_scheduler.*Command"),
    (b"?", r"the arrows scroll"),
    (b"\x1b", r"learning rate.*lr_scheduler.*Command"),
    (b"\x12", r"Finished 2 epochs"),
    (b"C", r"true -> predicted"),
    (b"\x1b", r"Finished 2 epochs.*all runs"),
    (b"T", r"balanced accuracy"),
    (b"\x1b", r"Finished 2 epochs.*all runs"),
    (b"0", r"lenet.*finished"),
)


@pytest.mark.parametrize(
    ("env", "never"),
    [({"TERM": "xterm", "COLORTERM": ""}, MANY_COLOURS), ({"TERM": "xterm", "NO_COLOR": "1"}, ANY_COLOUR)],
    ids=["sixteen colours", "none"],
)
def test_every_screen_is_shown(tmp_path: Path, env: dict[str, str], never: re.Pattern[bytes]) -> None:
    homes = dict.fromkeys(
        ("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(tmp_path)
    )
    app = PtyApp(MAIN, {**homes, **env}, args=(str(DIGITS), "--epochs", "2"))
    try:
        app.read_until(r"1 Data")
        for key, shown in SCREENS:
            app.send(key)
            app.read_until(shown, 60)
        app.send(b"q")
        assert app.wait() == 0
        assert app.restored()
        assert not never.search(app.output)
    finally:
        app.close()
