"""What several ranks have in common."""

import pytest
import torch
from torch import nn

from tui_trainer.config import build
from tui_trainer.engine.ranks import Alone
from tui_trainer.errors import ConfigError
from tui_trainer.rank_parts import begin_apart, require_same, seed_all, synchronised


class Two(Alone):
    """One of two ranks, of which the other says something else."""

    size = 2

    def __init__(self, rank: int = 0, other: object = None) -> None:
        super().__init__()
        self.rank, self._other = rank, other

    def gathered(self, value):  # type: ignore[no-untyped-def]
        return [value, self._other]


def test_ranks_that_see_different_files_or_checkpoints_are_refused() -> None:
    require_same(Two(other=("a", 3)), "a", 3)
    with pytest.raises(ConfigError, match="Rank 1 sees another dataset"):
        require_same(Two(other=("b", 3)), "a", 3)
    with pytest.raises(ConfigError, match="Rank 1 would go on from step 9, rank 0 from step 3"):
        require_same(Two(other=("a", 9)), "a", 3)


def test_ranks_draw_different_numbers_after_the_model_is_built() -> None:
    drawn = []
    for ranks in (Alone(), Two(0), Two(1)):
        seed_all(7)
        begin_apart(ranks, 7)
        drawn.append(torch.rand(()).item())
    assert drawn[0] == drawn[1] != drawn[2]


def test_batch_normalisation_is_synchronised_where_it_can_be() -> None:
    config = build({"sync_batchnorm": True, "batch_size": 8})
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    names = list(model.state_dict())
    assert synchronised(model, config, torch.device("cpu"), Alone()) is model
    with pytest.raises(ConfigError, match="for GPUs only"):
        synchronised(model, config, torch.device("cpu"), Two())
    made = synchronised(model, config, torch.device("cuda"), Two())
    assert isinstance(made[1], nn.SyncBatchNorm)  # type: ignore[index]
    assert list(made.state_dict()) == names
    with pytest.raises(ConfigError, match="batch_size must be at least 4"):
        synchronised(model, config.replace(batch_size=3), torch.device("cuda"), Two())
