"""Whether a weight file is the right one, how much of it is loaded, what stays random, and what to doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from tui_trainer.layer_facts import LayerChoice
from tui_trainer.text import display

if TYPE_CHECKING:
    from tui_trainer.start_weights import Fit

COLOURS = {"green": "$text-success", "amber": "$text-warning", "red": "$text-error"}
VERDICTS = {"green": "fits", "amber": "doubtful", "red": "wrong file?"}


class FitPanel(Static):
    """Sentences, the verdict first."""

    def show(self, fit: Fit | None, choice: LayerChoice) -> None:
        """What some settings come to."""
        parts: list[tuple[str, str]] = []
        if fit is None:
            parts = [("All layers start random. o chooses a file that fills those that fit.\n", "$foreground-muted")]
        else:
            verdict = fit.matched.verdict
            colour = COLOURS[verdict.colour]
            parts = [(f"{VERDICTS[verdict.colour]}: ", f"bold {colour}"), (f"{verdict.sentence}\n", colour)]
            parts.append((f"{choice.summary}\n", "$foreground"))
        if fit and fit.question:
            name = display(fit.branch.name, 60)
            parts.append((f"Of several weights that fit, {name} is shown; w chooses.\n", "$text-warning"))
        parts += [(f"{note}\n", "$text-warning") for note in choice.notes]
        parts += [(choice.problem, "$text-error")] if choice.problem else []
        self.update(Content.assemble(*parts).rstrip())
