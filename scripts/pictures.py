"""Take the README's pictures of the real screens, while the digits are trained: `make docs`."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from tui_trainer.config import resolve
from tui_trainer.settings import Value
from tui_trainer.tui.app import TrainerApp

ROOT = Path(__file__).resolve().parent.parent
SIZE = (110, 32)


def save(app: TrainerApp, name: str) -> None:
    """One screen as SVG, without the web fonts that Rich names in it."""
    svg = app.export_screenshot(title="tui-trainer")
    svg = re.sub(r"@font-face\s*{.*?}", "", svg, flags=re.DOTALL).replace(
        "Fira Code", "DejaVu Sans Mono, Menlo, Consolas"
    )
    (ROOT / "docs" / f"{name}.svg").write_text(svg, "utf-8")


async def until(pilot: Pilot[int], done: Callable[[], bool]) -> None:
    """Wait for something, a minute at most."""
    for _ in range(600):
        if done():
            return
        await pilot.pause(0.1)
    raise TimeoutError


async def take() -> None:
    """Walk through the steps, train, stop before the end."""
    first = TrainerApp(resolve({"data": "sample_data/digits", "epochs": 5}))
    async with first.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+r")
        await until(pilot, lambda: first.trainer is not None and not first.trainer.running)
    settings: dict[str, Value] = {
        "data": "sample_data/digits",
        "epochs": 20,
        "lr_scheduler": "cosine",
        "warmup_epochs": 1.0,
    }
    (earlier,) = (Path(os.environ["XDG_DATA_HOME"]) / "tui-trainer" / "runs").iterdir()
    earlier.rename(ROOT / ".first-run")
    app = TrainerApp(resolve({**settings, "pretrained": ".first-run", "exclude_layers": ("fc1",)}), first="data")
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(4)
        save(app, "data")
        await pilot.press("3")
        await pilot.pause(3)
        save(app, "weights")
        await pilot.press("4", "down")
        await pilot.pause(0.5)
        save(app, "recipe")
        app.draft.set("pretrained", "")
        app.draft.set("exclude_layers", ())
        await pilot.press("ctrl+r")
        await until(pilot, lambda: len(app._train_screen.state.history) >= 13)
        save(app, "train")
        assert app.trainer is not None
        app.trainer.join(30)


def main() -> None:
    """In a home of its own, so that nobody's runs or folders are in the pictures."""
    os.chdir(ROOT)
    (ROOT / "docs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.environ.update(dict.fromkeys(("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), home))
        try:
            asyncio.run(take())
        finally:
            import shutil

            shutil.rmtree(ROOT / ".first-run", ignore_errors=True)


if __name__ == "__main__":
    main()
