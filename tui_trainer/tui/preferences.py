"""What the screens remember from one start to the next: the theme and the folders used."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECENT = 8


def _file() -> Path:
    import platformdirs

    return platformdirs.user_config_path("tui-trainer", appauthor=False) / "screens.json"


def _read() -> dict[str, Any]:
    try:
        found = json.loads(_file().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(**changes: Any) -> None:
    """Remembering is a comfort: a read-only home must not stop anything."""
    with contextlib.suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _file().write_text(json.dumps({**_read(), **changes}), "utf-8")


def read_theme(known: Sequence[str]) -> str:
    """The theme chosen last, the first of the known ones at the first start."""
    theme = _read().get("theme")
    return str(theme) if theme in known else known[0]


def write_theme(theme: str) -> None:
    """Remember the theme."""
    _write(theme=theme)


def recent_folders() -> list[str]:
    """The dataset folders used last, newest first."""
    folders = _read().get("folders")
    return [folder for folder in folders if isinstance(folder, str)] if isinstance(folders, list) else []


def remember_folder(folder: str) -> None:
    """Put a dataset folder at the head of the list."""
    _write(folders=[folder, *(other for other in recent_folders() if other != folder)][:RECENT])
