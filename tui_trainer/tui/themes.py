"""Colour themes: dark, light, the terminal's own 16 colours, and one for colour-blind eyes."""

from __future__ import annotations

from textual.app import App
from textual.theme import Theme

# Okabe & Ito, Color Universal Design, 2008: blue and orange stay apart for every kind of colour blindness.
COLOUR_BLIND = Theme(
    name="colour-blind",
    primary="#56b4e9",
    secondary="#e69f00",
    accent="#e69f00",
    success="#56b4e9",
    warning="#f0e442",
    error="#d55e00",
    foreground="#e0e0e0",
    background="#101418",
    surface="#171c22",
    panel="#232a32",
    dark=True,
)
THEMES = ("textual-dark", "textual-light", "ansi-dark", "ansi-light", "colour-blind", "nord", "gruvbox")


def register_themes(app: App[int]) -> None:
    """Make the themes of this program known."""
    app.register_theme(COLOUR_BLIND)
    for name in set(app.available_themes) - set(THEMES):  # the palette offers what is tested
        app.unregister_theme(name)
