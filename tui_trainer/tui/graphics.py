"""Whether this terminal shows pictures with all their pixels (Kitty's protocol, Sixel), by the extra `images`."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

TERMS = ("kitty", "ghostty", "foot", "mlterm", "sixel", "contour", "yaft")  # in TERM, which goes along over SSH
PROGRAMS = ("WezTerm", "ghostty", "iTerm.app", "mintty")  # TERM_PROGRAM
SIGNS = ("KITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION")


def may_show_pictures() -> bool:
    """Whether it is worth asking: a terminal that does not know the question costs time and the first key."""
    term, program = os.environ.get("TERM", ""), os.environ.get("TERM_PROGRAM", "")
    in_between = "TMUX" in os.environ or term.startswith(("screen", "tmux"))
    known = any(name in term for name in TERMS) or program in PROGRAMS or any(name in os.environ for name in SIGNS)
    return known and not in_between


def picture_widget() -> Any:
    """The widget class for pictures, or None; asks the terminal, and so before Textual has it."""
    if not may_show_pictures() or importlib.util.find_spec("textual_image") is None:
        return None
    from textual_image import renderable, widget

    return widget.Image if renderable.Image in (renderable.TGPImage, renderable.SixelImage) else None
