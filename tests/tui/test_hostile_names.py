"""A thousand file and class names that a terminal, a markup language or a shell would obey, through everything."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import DataTable, Input, Static

from tests.conftest import DIGITS, Told
from tests.tui.conftest import MAKER, until
from tests.tui.pty_app import PtyApp
from tui_trainer.run_folder import RunFolder, runs_root
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.screens.compare import CompareScreen
from tui_trainer.tui.screens.confusion import ConfusionScreen
from tui_trainer.tui.screens.export import ExportScreen
from tui_trainer.tui.screens.look import LookScreen
from tui_trainer.tui.screens.results import ResultsScreen
from tui_trainer.tui.screens.try_image import TryScreen

Cli = Callable[..., Told]
CLASSES, FILES = 20, 1_000
PARTS = (
    b"\x1b[31;7;9m", b"\x1b]0;title\x07", b"\x1b]52;c;ZXZpbA==\x07", b"\x1b]8;;http://x\x1b\\", b"\x1b[2J\x1b[H",
    b"\x1b[?1049l", b"\x1bP0;1|17/ab\x1b\\", b"\xc2\x9b31m", b"\xc2\x90q", b"\x9b5n", b"\xff\xfe", b"\xc3\x28",
    b"\r\n", b"\n", b"\x08\x08\x08", b"\x7f", b"\t", b"\x0e", b"\x05", b"\xe2\x80\xae gnp", b"\xe2\x81\xa6",
    b"\xe2\x80\x8b",
    b"\xe2\x80\xa8", b"\xd8\x9c", b"\xef\xbb\xbf", b"\xed\xb0\x80", b"[red]", b"[/red]", b"[/]",
    b"[@click=app.quit]x[/]",
    b"[link=http://x]", b"\\[b]", b"{0.__class__}", b"%s%n", b"<script>alert(1)<", b"&lt;", b"'\"`", b"$(reboot)",
    b"; rm -rf ~",
    b"-rf", b"--help", b"=cmd|' '!A1", b"~root", b" ", b"  x ", b"CON", b"..x", "\U0001f469\u200d\U0001f466".encode(),
    "Ǻ".encode() * 9, b"a\xcc\x81" * 20, "漢字".encode(), b"#!", b"a" * 120,
)  # fmt: skip
# Of these not one character may reach a terminal; the second are what Rich and Textual write themselves.
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
OWN = re.compile(rb"\x1b\[[0-9;?<=>]*[A-Za-z]|\x1b[78=>]|\x1b\][0-9;]*\x1b\\|\r\n|\r|\x1b\[\?[0-9;$]*[a-z]")


def names(count: int, seed: int = 4) -> list[bytes]:
    """That many, all different; none hidden and none with a slash."""
    rng = np.random.default_rng(seed)
    found: set[bytes] = set()
    while len(found) < count:
        name = b"".join(PARTS[i] for i in rng.integers(0, len(PARTS), 3)) + str(len(found)).encode()
        found.add(name[-200:].lstrip(b".").replace(b"/", "∕".encode()))
    return sorted(found)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits under such names; every fourth is none."""
    root = tmp_path_factory.mktemp("hostile") / "data [red]\x1b[31m"
    images = [path.read_bytes() for path in sorted(DIGITS.rglob("*.png"))[:: 1_797 // CLASSES]]
    classes = [os.path.join(os.fsencode(root), name) for name in names(CLASSES, seed=5)]
    for folder in classes:
        Path(os.fsdecode(folder)).mkdir(parents=True)
    for number, name in enumerate(names(FILES)):
        with open(os.path.join(classes[number % CLASSES], name + b".png"), "wb") as file:
            file.write(images[number % CLASSES] if number // CLASSES % 4 else b"none")
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on them, in a folder of such a name."""
    from tui_trainer import cli

    folder = tmp_path_factory.mktemp("runs") / "[/red]\x1b]0;run\x07"
    words = ("--no-tui", data, "--epochs", 1, "-b", 128, "--max-bad", 1, "--threads", 1, "--output-dir", folder)
    assert cli.main([str(word) for word in words]) == 0
    return folder


def require_clean(written: str) -> None:
    """Nothing but the program's own sequences is in it, and none of those that names hold."""
    output = written.encode("utf-8", "surrogateescape")
    assert not UNSAFE.search(OWN.sub(b"", output).decode("utf-8", "surrogateescape")), written
    assert not [part for part in PARTS[:26] if len(part) > 2 and part in output], written


def test_what_is_printed_holds_no_control_character(
    data: Path, run: Path, run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    train = ("--no-tui", data, "--epochs", "1", "-b", "256", "--threads", "1", "--output-dir", tmp_path / "again")
    asked = [
        (0, ("data", data)),
        (0, ("data", data, "--json")),
        (3, train),
        (3, ("predict", run, data)),
        (3, ("predict", run, min(data.iterdir()), "--json")),
        (0, ("test", run)),
        (0, ("report", run)),
        (0, ("runs", "show", run)),
        (0, ("runs", "compare", run, run)),
        (0, ("runs",)),
        (0, ("runs", "note", run, "[/]\x1b[2J\x9b5n")),
        (0, ("runs", "list", "--json")),
        (0, ("tune", data, "--num-workers", "0", "--max-seconds", "0.2", "--max-bad", "1")),
        (2, ("eject", run, "--output", tmp_path / "[red]\x1b[2J.py")),
        (0, ("export", run, "--format", "safetensors", "--output", tmp_path / "[/]\x1b]0;x\x07")),
        (2, ("send", run, "pause")),
        (2, ("weights", data)),
        (2, ("tune", data, "--num-workers", "x")),
        (2, ("--no-tui", data, data)),
        (4, ("export", run, "--format", "onnx", "--output", data / "none" / "x")),
    ]
    for code, words in asked:
        told = run_cli(*words)
        assert told.code == code or words[0] in ("weights", "export"), (words, told.err)
        for line in (told.out + told.err).split("\n"):
            require_clean(line)
    report = (run / "report.html").read_text("utf-8")
    assert not UNSAFE.search(report)


def test_what_was_recorded_is_safe_to_look_at(run: Path) -> None:
    for name in ("events.jsonl", "config.toml", "output.log"):
        text = (run / name).read_bytes().decode("utf-8")
        assert not UNSAFE.search(text), name
    assert len((run / "bad_files.csv").read_bytes()) > FILES


class Looker:
    """Looks at all that a screen draws."""

    def __init__(self, pilot: Pilot[int], app: TrainerApp) -> None:
        self.pilot, self.app, self.drawn = pilot, app, set[str]()

    def look(self) -> str:
        """No character that a terminal would obey is in it, and nothing has crashed; what is drawn."""
        assert self.app.crash is None
        strips = [strip.text for strip in self.app.screen._compositor.render_strips()]
        for text in strips:
            assert not UNSAFE.search(text), text
        self.drawn.update(strips)
        return "\n".join(strips)

    async def press(self, *keys: str) -> None:
        """Look after each of these keys."""
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()
            self.look()

    async def reached(self, screen: type[Screen[Any]], ready: Callable[[Any], object]) -> Any:
        """A screen, once it shows what it is for."""
        await until(self.pilot, lambda: self.app.crash or (isinstance(self.app.screen, screen)))
        found = self.app.screen
        await until(self.pilot, lambda: self.app.crash or ready(found))
        await self.pilot.pause()
        self.look()
        return found


async def test_every_screen_shows_them_as_text(
    make_app: MAKER, data: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(run.parent / "home"))
    app = make_app(data=str(data), max_bad=1.0)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        looker = Looker(pilot, app)
        await pilot.press("1")
        await until(pilot, lambda: app._data_screen._look is not None and not app._data_screen._look.working)
        await looker.press("1", "tab", "pagedown", "2", "3", "4", "v", "escape", "question_mark", "escape", "1", "t",
                           "down", "escape", "slash", "escape")  # fmt: skip
        app.replay(RunFolder(run))
        await until(pilot, lambda: app.trainer is not None and not app.trainer.running)
        await looker.press("5", "l", "escape", "0", "escape")
        assert any("\\x1b" in text for text in looker.drawn)


async def test_every_screen_after_a_run_shows_them_as_text(make_app: MAKER, data: Path, run: Path) -> None:
    copies = [os.path.join(os.fsencode(runs_root()), name) for name in names(4, seed=6)]
    for copy in copies:
        shutil.copytree(os.fsencode(run), copy)
    app = make_app(data=str(data), max_bad=1.0)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        looker = Looker(pilot, app)
        app.replay(RunFolder(run))
        await until(pilot, lambda: app.crash or app._train_screen._said)
        await pilot.press("T")
        figures = await looker.reached(ResultsScreen, lambda screen: screen._shown is not None)
        assert not figures._error
        await looker.press("o", "pagedown", "w")
        await looker.reached(LookScreen, lambda screen: screen._pixels)
        await looker.press("right", "x", "escape", "c")
        await looker.reached(ConfusionScreen, lambda screen: screen._pairs)
        await looker.press("n", "end", "o", "tab", "escape", "escape", "t")
        attempt = await looker.reached(TryScreen, lambda screen: True)
        for image in sorted(os.fsencode(path) for path in data.rglob("*.png"))[:20:8]:
            attempt.query_one(Input).value = os.fsdecode(image)
            attempt.query_one("#answers", Static).update("")
            await looker.press("enter")
            await until(pilot, lambda: app.crash or str(attempt.query_one("#answers", Static).render()))
            looker.look()
        await looker.press("escape", "x")
        exported = await looker.reached(ExportScreen, lambda screen: True)
        await looker.press("enter")
        await until(pilot, lambda: app.crash or "same answer" in str(exported.query_one("#told", Static).render()))
        looker.look()
        await looker.press("escape", "0")
        rows = app.screen.query_one(DataTable)
        await until(pilot, lambda: app.crash or rows.row_count == len(copies))
        await looker.press("space", "space", "space", "v")
        await looker.reached(CompareScreen, lambda screen: screen.query_one(DataTable).row_count)
        await looker.press("right_square_bracket", "comma", "m", "y", "escape")
        await looker.press("R")
        app.screen.query_one(Input).value = "[/]\x1b]0;x\x07"
        await looker.press("enter", "slash")
        app.screen.query_one(Input).value = "\x1b[2J"
        await looker.press("enter")
        assert sum("\\x1b" in text for text in looker.drawn) > 20


@pytest.fixture
def terminal(data: Path, tmp_path: Path) -> Iterator[Callable[..., PtyApp]]:
    """Starts the program on a terminal of its own."""
    code = "import sys; from tui_trainer.cli import main; sys.exit(main(sys.argv[1:]))"
    home = dict.fromkeys(
        ("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(tmp_path)
    )
    started: list[PtyApp] = []

    def start(*words: object) -> PtyApp:
        started.append(PtyApp(code, home, args=[str(word) for word in words]))
        return started[-1]

    yield start
    for app in started:
        app.close()


@pytest.mark.soak
def test_on_a_real_terminal(terminal: Callable[..., PtyApp], data: Path, run: Path, tmp_path: Path) -> None:
    for words in (
        ("data", data),
        ("--no-tui", data, "--epochs", 2, "--max-bad", 1, "--output-dir", tmp_path / "run"),
        ("predict", run, data),
        ("test", run),
    ):
        app = terminal(*words)
        assert app.wait(300) == (3 if words[0] == "predict" else 0)
        require_clean(app.output.decode("utf-8", "surrogateescape"))
    app = terminal(data, "--max-bad", 1, "--epochs", 2)
    app.read_until("train", 60)
    for key in (b"1", b"2", b"3", b"4", b"v", b"\x1b", b"\x12"):
        app.send(key)
        app.idle(2)
    app.read_until("trains again|finished", 120)
    app.send(b"q")
    app.wait()
    assert not [part for part in PARTS[:26] if len(part) > 2 and part in app.output.replace(b"\x1b[?1049l", b"")]
