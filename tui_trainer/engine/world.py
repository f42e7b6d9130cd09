"""Into the world of several ranks and out of it: torch's process group."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore

from tui_trainer.engine.ranks import Alone, Ranks
from tui_trainer.engine.together import Together
from tui_trainer.errors import ConfigError

TIMEOUT = timedelta(minutes=30)  # of a gradient's collective


def join(
    *, rank: int, size: int, local_rank: int, local_size: int, device: str, store: Path | None, restarts: bool
) -> Ranks:
    """Meet the other ranks: through a new file `store` on one machine, else as the launcher's environment says.

    CPU tensors go through gloo and those of GPUs through NCCL; each rank takes the GPU of its number on its machine.

    Raises:
        ConfigError: there are fewer GPUs than ranks on this machine, or one GPU is named for all.
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
        store=FileStore(str(store), size) if store else None,
        init_method=None if store else "env://",
        rank=rank,
        world_size=size,
        timeout=TIMEOUT,
    )
    return Together(local_rank=local_rank, restarts=restarts)


def leave(ranks: Ranks) -> None:
    """Part from the others when all are done: who leaves without it may take the others along."""
    if dist.is_initialized():
        ranks.flush()  # a barrier on the CPU, where no GPU has to be guessed
        dist.destroy_process_group()
