"""What a run learns of its dataset before PyTorch is there, which is imported beside it. No torch here.

OpenCV comes with this module: while it is imported, which replaces it in `sys.modules`, no other thread may ask for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui_trainer.config import Config
from tui_trainer.data import decode, sources  # noqa: F401 - see above
from tui_trainer.data.index import Index
from tui_trainer.data.preflight import look_before
from tui_trainer.data.report import Report


@dataclass(frozen=True, kw_only=True)
class FirstLook:
    """The samples, and what is known of their files."""

    index: Index
    looked: Report | None


def first_look(config: Config, tell: Callable[[str], None], cancelled: Callable[[], bool]) -> FirstLook | None:
    """Scan the dataset of a new run and look for bad files; None of what PyTorch is needed to scan.

    Raises:
        DataError: there is nothing to train on, or too much of it cannot be read.
    """
    if config.run.resume or config.data.data.startswith(sources.TORCHVISION) or sources.is_own(config.data.data):
        return None
    tell("scanning the dataset")
    index = sources.open_source(config.data, config.recipe.seed, trusted=config.run.trust_code)
    return FirstLook(index=index, looked=look_before(index, config.data.max_bad, tell, cancelled))
