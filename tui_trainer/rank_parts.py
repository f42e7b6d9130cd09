"""What several ranks that train one model must have in common, and what not."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from tui_trainer.config import Config
from tui_trainer.data.transforms import address
from tui_trainer.engine.precision import DTYPES
from tui_trainer.engine.ranks import Ranks
from tui_trainer.errors import ConfigError
from tui_trainer.models.catalog import shape_of
from tui_trainer.strategy import FSDP, require_apt

if TYPE_CHECKING:
    from tui_trainer.engine.sharding import Sharded


def seed_all(seed: int) -> None:
    """Seed every generator that a model, the user's own included, may draw from."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def begin_apart(ranks: Ranks, seed: int) -> None:
    """All ranks have built the same model; what they draw from now on, as for dropout, is another on each."""
    if ranks.rank:
        seed_all(address(seed, -ranks.rank, -1) & 0xFFFFFFFF)


def require_same(ranks: Ranks, fingerprint: str, step: int) -> None:
    """Refuse to train where ranks see different data or different checkpoints, as without a shared disk.

    Raises:
        ConfigError: they do.
    """
    (wanted, first), *others = ranks.gathered((fingerprint, step))
    for rank, (other, at) in enumerate(others, 1):
        if other != wanted:
            raise ConfigError(f"Rank {rank} sees another dataset than rank 0: every machine needs the same files.")
        if at != first:
            raise ConfigError(
                f"Rank {rank} would go on from step {at}, rank 0 from step {first}: "
                "the run folder must lie on a disk that all machines share."
            )


def synchronised(model: nn.Module, config: Config, device: torch.device, ranks: Ranks) -> nn.Module:
    """The model with batch normalisation over the samples of all ranks, if that is asked for.

    Raises:
        ConfigError: torch has it for GPUs only, it does not go with the strategy, or a batch is too small.
    """
    require_apt(config, ranks.size)
    if not config.recipe.sync_batchnorm or ranks.size == 1:
        return model
    if device.type != "cuda":
        raise ConfigError("sync_batchnorm: torch has it for GPUs only; use --no-sync-batchnorm, or --device cuda.")
    if config.loader.batch_size < 2 * ranks.size:  # a rank without samples would not meet the others in its layers
        raise ConfigError(f"sync_batchnorm: batch_size must be at least {2 * ranks.size}, 2 samples for each process.")
    made: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return made


def shard_out(model: nn.Module, config: Config, device: torch.device) -> None:
    """Share the model out among the ranks, a part of it to each device.

    Raises:
        ConfigError: it cannot be shared out.
    """
    from tui_trainer.engine.sharding import shard

    shard(model, device, DTYPES[config.recipe.amp_dtype or "bf16"] if config.recipe.amp else None)


def sharded(model: nn.Module, config: Config, arguments: Mapping[str, Any]) -> Sharded | None:
    """How a model that is shared out trains; `arguments` are those that it was built with."""
    if config.run.strategy != FSDP:
        return None
    from tui_trainer.engine.sharding import Sharded

    return Sharded(model, arguments["shape"] or shape_of(arguments["channels"], arguments["image_size"]))
