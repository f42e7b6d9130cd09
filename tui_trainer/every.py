"""How often something is done: every few epochs, or every few steps."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tui_trainer.errors import ConfigError
from tui_trainer.text import display

_FORM = re.compile(r"(\d{1,9}) *(epochs?|ep|steps?|st)?", re.IGNORECASE)


@dataclass(frozen=True)
class Every:
    """Every `number` epochs, or every `number` steps."""

    number: int
    steps: bool = False

    def meets(self, epoch: int, batch: int, step: int) -> bool:
        """Whether it is due where `epoch` epochs, `batch` batches of the next and `step` steps are trained."""
        if self.steps:
            return step % self.number == 0
        return batch == 0 and epoch % self.number == 0


def parse_every(text: str, name: str) -> Every:
    """What `2`, `2 epochs` or `500 steps` means.

    Raises:
        ConfigError: it is none of them.
    """
    match = _FORM.fullmatch(text.strip())
    if not match or not int(match[1]):
        raise ConfigError(f"{name} = {display(text)}: write a number of epochs, such as 2, or of steps, as 500steps.")
    return Every(int(match[1]), steps=(match[2] or "").lower().startswith("st"))
