"""Tensors that are shared out among ranks, to a folder of safetensors files and back, to any number of ranks.

It is torch.distributed.checkpoint with its safetensors storage: the other one reads a pickle, which can run code.
What is no shared-out tensor stays in the state, and with it what is known of the files: see `checkpoint`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tui_trainer.errors import WeightsError
from tui_trainer.text import display
from tui_trainer.whole_file import require_space, sync_folder

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

    from tui_trainer.engine.ranks import Ranks

FOLDER = re.compile(r"step-(\d{1,15})\.shards(?:-\d+)?")
SHARDS = "shards"  # key of a state: what is known of its files
APART = "shared out as"  # key of what stands in a state for a tensor
CHUNK = 1 << 20


def write(state: Mapping[str, Any], folder: Path | None, ranks: Ranks) -> dict[str, Any]:
    """The rest of `state` after its shared-out tensors were written below `folder` (of rank 0). Call it on every rank.

    Raises:
        OSError: a rank could not write its part; it is raised on all.
    """
    tensors: dict[str, DTensor] = {}
    rest: dict[str, Any] = _set_apart(dict(state), "", tensors)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    place = _together(lambda: str(_begin(folder, state["state"]["step"], size)) if folder else "", ranks)[0]
    if not place:
        return rest  # nobody keeps it
    target = Path(place)
    try:
        sums = _write_parts(tensors, target, ranks)
    except OSError:
        if ranks.rank == 0:  # on a full disk they would be in the way of the next try
            shutil.rmtree(target, ignore_errors=True)
        raise
    if ranks.rank == 0:
        sync_folder(target)
    return {**rest, SHARDS: {"folder": target.name, "files": {k: v for files in sums for k, v in files.items()}}}


def _write_parts(tensors: dict[str, DTensor], target: Path, ranks: Ranks) -> list[dict[str, Any]]:
    """Size and SHA-256 of each file, by rank."""
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    try:
        save(tensors, storage_writer=HuggingFaceStorageWriter(str(target), save_distributed=True))
    except CheckpointException as error:
        raise next((e for e, _ in error.failures.values() if isinstance(e, OSError)), OSError(str(error))) from error
    own = f"shard-{ranks.rank + 1:05}-*"
    return _together(lambda: {path.name: sum_of(path, sync=True) for path in target.glob(own)}, ranks)


def _together(act: Callable[[], Any], ranks: Ranks) -> list[Any]:
    """What `act` gives on each rank; what the disk of one refuses is raised on all."""
    try:
        said = act()
    except OSError as error:
        said = error
    found = ranks.gathered(said)
    for one in found:
        if isinstance(one, OSError):
            raise one
    return found


def _begin(folder: Path, step: int, size: int) -> Path:
    """A new folder: files of an earlier save of the same step stay whole until this one is committed."""
    require_space(folder, size)
    names = (f"step-{step}.{SHARDS}", *(f"step-{step}.{SHARDS}-{n}" for n in range(2, 1000)))
    target = next(folder / name for name in names if not (folder / name).exists())
    target.mkdir(mode=0o700)
    return target.resolve()


def _set_apart(value: Any, name: str, tensors: dict[str, DTensor]) -> Any:
    """`value` with a few words in place of each shared-out tensor, which goes to `tensors`."""
    from torch.distributed.tensor import DTensor, Replicate, Shard

    if isinstance(value, Mapping):
        return {key: _set_apart(item, f"{name}.{key}" if name else str(key), tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_set_apart(item, f"{name}.{number}", tensors) for number, item in enumerate(value)]
    if not isinstance(value, DTensor):
        return value
    parted = isinstance(value.placements[0], Shard)
    tensors[name] = value if parted else value.redistribute(placements=[Replicate()])
    return {APART: name, "shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch."), "parted": parted}


def sum_of(path: Path, *, sync: bool = False) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        if sync:
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return {"size": size, "sha256": digest.hexdigest()}


def verified(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`state`, with the place of its shards if it has some.

    Raises:
        ValueError: they are not as they were written.
    """
    known = state.get(SHARDS)
    if known is None:
        return state
    if not FOLDER.fullmatch(known["folder"]):
        raise ValueError("the name of its folder of shards is none")
    place = folder / known["folder"]
    found = {path.name: path for path in place.iterdir()}
    if found.keys() != known["files"].keys() or any(sum_of(found[n]) != known["files"][n] for n in found):
        raise ValueError(f"size or SHA-256 of files in {known['folder']} differ")
    return {**state, SHARDS: {**known, "path": str(place)}}


def filled(saved: Mapping[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A state with all its tensors, lying as those of `model` do: shared out, or whole. Call it on every rank.

    Raises:
        WeightsError: the shards are not those of this state.
    """
    mesh = next((p.device_mesh for p in model.parameters() if hasattr(p, "device_mesh")), None)
    state = dict(saved)
    known = state.pop(SHARDS, None)
    if known is None:
        return state if mesh is None else _shared_out(state, model, optimizer)
    targets: dict[str, Tensor] = {}
    state = dict(_put_back(state, mesh, targets))
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import _load_state_dict, load

    try:
        reader = HuggingFaceStorageReader(known["path"])
        if mesh is None:  # the public function warns of what is meant here: each process reads all of it
            _load_state_dict(targets, storage_reader=reader, no_dist=True)
        else:
            load(targets, storage_reader=reader)
    except Exception as error:
        raise WeightsError(f"Cannot read {display(known['path'])}: {display(error, 200)}.") from error
    return state


def _put_back(value: Any, mesh: Any, targets: dict[str, Tensor]) -> Any:
    """`value` with an empty tensor for each that was set apart; `targets` has them by name."""
    if isinstance(value, list):
        return [_put_back(item, mesh, targets) for item in value]
    if not isinstance(value, Mapping):
        return value
    if APART not in value:
        return {key: _put_back(item, mesh, targets) for key, item in value.items()}
    dtype, shape = getattr(torch, value["dtype"]), value["shape"]
    if mesh is None:
        made = torch.empty(shape, dtype=dtype)
    else:
        from torch.distributed import tensor as distributed

        placement = distributed.Shard(0) if value["parted"] else distributed.Replicate()
        made = distributed.empty(*shape, dtype=dtype, device_mesh=mesh, placements=[placement])
    targets[value[APART]] = made
    return made


def _shared_out(state: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Whole tensors of a state, which every rank has, as parts like those of the model."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    def like(tensor: Any, parameter: Any) -> Any:
        whole = isinstance(tensor, Tensor) and not isinstance(tensor, DTensor)
        if not (whole and isinstance(parameter, DTensor) and tensor.shape == parameter.shape):
            return tensor
        return distribute_tensor(tensor.contiguous(), parameter.device_mesh, parameter.placements, src_data_rank=None)

    parameters = list(itertools.chain.from_iterable(group["params"] for group in optimizer.param_groups))
    own = model.state_dict()
    of_parameters = {
        number: {name: like(value, parameters[number]) for name, value in values.items()}
        for number, values in state["optimizer"]["state"].items()
        if number < len(parameters)
    }
    return {
        **state,
        "model": {name: like(tensor, own.get(name)) for name, tensor in state["model"].items()},
        "optimizer": {**state["optimizer"], "state": of_parameters},
    }
