"""The README says what is."""

from __future__ import annotations

import re
from pathlib import Path

import scripts.docs
from tui_trainer.cli import COMMANDS
from tui_trainer.config import SETTINGS

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_table_of_settings_is_up_to_date() -> None:
    text = README.read_text("utf-8")
    assert scripts.docs.with_table(text) == text, "run `make docs`"
    assert all(f"`{item.flag}`" in text for item in SETTINGS.values())


def test_every_flag_and_subcommand_that_it_names_exists() -> None:
    text = README.read_text("utf-8")
    flags = {item.flag for item in SETTINGS.values()}
    known = (
        flags
        | {"--ascii", "--no-tui", "--json", "--background", "--config", "--print-config", "--dry-run", "--help"}
        | {
            "--csv",
            "--format",
            "--preprocessing",
            "--filter",
            "--sort",
            "--yes",
            "--batch-sizes",
            "--prefetch-factors",
            "--max-seconds",
            "--write",
        }
    )
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert named <= known | {"--num-classes"}, named - known
    assert {word for word in re.findall(r"tui-trainer (\w+) \w", text) if word in COMMANDS} >= {"send"}


def test_its_pictures_are_there() -> None:
    for name in re.findall(r"\]\((docs/[^)]+\.svg)\)", README.read_text("utf-8")):
        svg = (README.parent / name).read_text("utf-8")
        assert svg.lstrip().startswith("<svg")
        assert "http" not in svg.replace("http://www.w3.org", "").replace("https://www.textualize.io", "")
