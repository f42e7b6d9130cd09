"""Into the world of several ranks and out of it: torch's process group."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore, Store
from torch.distributed.rendezvous import rendezvous

from tui_trainer.engine.ranks import Alone, Ranks
from tui_trainer.engine.together import Together
from tui_trainer.errors import ConfigError, TrainingError
from tui_trainer.text import display

TIMEOUT = timedelta(minutes=30)  # of a gradient's collective
MEET = timedelta(minutes=10)  # within which all processes have to be there: machines may start one after another


def join(
    *, rank: int, size: int, local_rank: int, local_size: int, device: str, store: Path | None, restarts: bool
) -> Ranks:
    """Meet the other ranks: through a new file `store` on one machine, else as the launcher's environment says.

    CPU tensors go through gloo and those of GPUs through NCCL; each rank takes the GPU of its number on its machine.

    Raises:
        ConfigError: there are fewer GPUs than ranks on this machine, or one GPU is named for all.
        TrainingError: the others did not come.
    """
    gpus = torch.cuda.is_available() and device in ("auto", "cuda")
    if size == 1:
        return Alone()
    if device.startswith("cuda:"):
        raise ConfigError(f"device = {device}: each of {size} processes takes a GPU of its own; use cuda or auto.")
    if gpus:
        if local_size > torch.cuda.device_count():
            raise ConfigError(
                f"{local_size} processes, but this machine has {torch.cuda.device_count()} GPUs: use as many, "
                "or --device cpu."
            )
        torch.cuda.set_device(local_rank)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if gpus else "gloo",
        store=FileStore(str(store), size) if store else _store_of(rank, size),
        rank=rank,
        world_size=size,
        timeout=TIMEOUT,
    )
    return Together(local_rank=local_rank, restarts=restarts)


def _store_of(rank: int, size: int) -> Store:
    """The store at the launcher's address, through which all processes find each other.

    Raises:
        TrainingError: they did not.
    """
    try:
        found: Store = next(rendezvous(f"env://?rank={rank}&world_size={size}", timeout=MEET))[0]
    except (dist.DistError, ValueError, RuntimeError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise TrainingError(
            f"Rank {rank} did not meet the other {size - 1} of {size} processes at {display(where, 120)} "
            f"({display(str(error).partition(chr(10))[0], 200)}): is it the first machine's, and did all start?"
        ) from None
    found.set_timeout(TIMEOUT)
    return found


def leave(ranks: Ranks) -> None:
    """Part from the others when all are done: who leaves without it may take the others along."""
    if dist.is_initialized():
        ranks.flush()  # a barrier on the CPU, where no GPU has to be guessed
        dist.destroy_process_group()
