from __future__ import annotations

import pytest
from torch import nn

from tui_trainer.auto import Choices, choose_log_every
from tui_trainer.config import Config

SMALL, LARGE = nn.Linear(8, 2), nn.Linear(1000, 1000)


@pytest.mark.parametrize(
    ("model", "batches", "accumulated", "every"),
    [
        (SMALL, 20, 1, 3),
        (SMALL, 125, 1, 16),
        (LARGE, 125, 1, 2),
        (LARGE, 125, 2, 1),
        (SMALL, 10_000, 1, 20),
        (LARGE, 10_000, 1, 20),
        (SMALL, 0, 1, 5),
    ],
)
def test_of_a_small_network_progress_is_told_rarer(
    model: nn.Module, batches: int, accumulated: int, every: int
) -> None:
    choices = Choices(Config().replace(grad_accum_steps=accumulated))
    choose_log_every(choices, model, batches)
    assert choices.config.run.log_every == every


def test_a_cadence_that_is_given_stays() -> None:
    choices = Choices(Config().replace(log_every=7))
    choose_log_every(choices, SMALL, 125)
    assert choices.config.run.log_every == 7
    assert not choices.events()
