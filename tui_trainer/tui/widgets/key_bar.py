"""The line at the bottom: the keys that do something here and now, as many as fit. A click on one presses it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.screen import Screen

from tui_trainer.tui.keys import EVERYWHERE
from tui_trainer.tui.widgets.lines import Lines

ALWAYS = tuple(key.action for key in EVERYWHERE if key.action in ("help", "leave"))
PALETTE = "command_palette"


@dataclass(frozen=True)
class Shown:
    """A key on the bar: what is pressed, how it is written, what it does."""

    key: str
    cap: str
    label: str
    action: str
    help: str

    @property
    def width(self) -> int:
        """Cells with the gap behind it."""
        return cell_len(self.cap) + cell_len(self.label) + 3


class KeyBar(Lines):
    """One row made from the active bindings. Help and quitting always have room, the rest in its order."""

    DEFAULT_CSS = "KeyBar { dock: bottom; height: 1; background: $panel; }"
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[Shown] = []

    def on_mount(self) -> None:
        """Follow what changes the keys: the focus, a run that begins or ends."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_resize(self) -> None:
        """More keys fit, or fewer."""
        super().on_resize()
        self._draw()

    def _changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen and self.app.app_focus:
            self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if not self.is_attached:
            return
        self._shown = fitting(self._active(), self.size.width)
        row: list[tuple[str, str]] = []
        for shown in self._shown:
            row += [(f" {shown.cap}", "bold $accent"), (f" {shown.label} ", "")]
        self.show([row])

    def _active(self) -> list[Shown]:
        """The screen's own keys first, those of the widget with the focus behind them, the app's last."""
        found = list[tuple[int, Shown]]()
        for node, binding, enabled, tooltip in self.screen.active_bindings.values():
            if enabled and (binding.show or binding.action.endswith(PALETTE)):
                cap = self.app.get_key_display(binding)
                label = f"{binding.description[:1].upper()}{binding.description[1:]}"  # Textual's own is in lower case
                text = tooltip or binding.tooltip or binding.description
                rank = 0 if node is self.screen else 2 if node is self.app else 1
                found.append((rank, Shown(binding.key, cap, label, binding.action, text)))
        return [shown for _, shown in sorted(found, key=lambda pair: pair[0])]

    def _under(self, x: int) -> Shown | None:
        for shown in self._shown:
            if x < shown.width:
                return shown
            x -= shown.width
        return None

    def on_click(self, event: events.Click) -> None:
        """Press the key under the pointer."""
        if shown := self._under(event.x):
            self.app.simulate_key(shown.key)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Say what the key under the pointer does."""
        shown = self._under(event.x)
        self.tooltip = shown.help if shown else None


def fitting(keys: list[Shown], room: int) -> list[Shown]:
    """Those with a place on the bar: each action once, help and quitting first of all, the palette last."""
    once = list({key.action: key for key in reversed(keys)}.values())[::-1]
    palette = [key for key in once if key.action.endswith(PALETTE)]
    always = [key for key in once if key.action in ALWAYS]
    others = [key for key in once if key not in always and key not in palette]
    taken = set[str]()
    for key in (*always, *others, *palette):
        room -= key.width
        if room < 0:
            break
        taken.add(key.action)
    return [key for key in (*others, *always, *palette) if key.action in taken]
