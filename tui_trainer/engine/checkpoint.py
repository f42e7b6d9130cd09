"""The state of training to a file and back: whole or not at all.

`step-N.pt` is written to a temporary file, synced, hashed and renamed; then its manifest
`step-N.json` the same way. The rename of the manifest is the commit: a checkpoint without a
manifest that agrees with it in size and SHA-256 does not exist. (torch.load does not check the
CRCs that torch.save writes: most flipped bits would load silently.)
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tui_trainer.errors import WeightsError
from tui_trainer.text import display

SCHEMA_VERSION = 1
_MANIFEST = re.compile(r"step-(\d+)\.json")


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that after a crash it has the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            os.chmod(temporary, 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written; only the owner of the run's lock may."""
    for left in folder.glob(".*.tmp"):
        left.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save(folder: Path, step: int, state: Mapping[str, Any], keep: int) -> str:
    """Commit the state after `step`; keep the newest `keep` checkpoints. The name of its file.

    Raises:
        OSError: it could not be written; earlier checkpoints are as they were.
    """
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA_VERSION, **state}, buffer)
    data = buffer.getbuffer()
    name = f"step-{step}.pt"
    manifest = {"schema": SCHEMA_VERSION, "step": step, "file": name, "size": len(data)}
    manifest["sha256"] = hashlib.sha256(data).hexdigest()
    write_whole(folder / name, data)
    write_whole(folder / f"step-{step}.json", json.dumps(manifest).encode())
    older = [known for known in _steps(folder) if known <= step]  # a later one is damaged, or load_newest had taken it
    for old in older[keep:]:
        (folder / f"step-{old}.json").unlink(missing_ok=True)
        (folder / f"step-{old}.pt").unlink(missing_ok=True)
    return name


def _steps(folder: Path) -> list[int]:
    """Steps that have a manifest, newest first."""
    found = [_MANIFEST.fullmatch(path.name) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted((int(match[1]) for match in found if match), reverse=True)


def load_newest(folder: Path, warn: Callable[[str], None]) -> dict[str, Any]:
    """The newest state that is whole; each damaged one before it is told to `warn`.

    Raises:
        WeightsError: there is none.
    """
    for step in _steps(folder):
        try:
            return _load(folder, step)
        except Exception as error:  # an unpickler meets damage with IndexError, struct.error and many more
            damaged = display(folder / f"step-{step}.pt")
            warn(f"Checkpoint {damaged} is damaged ({display(error)}): trying the one before.")
    raise WeightsError(f"There is no whole checkpoint in {display(folder)}: nothing to go on from.")


def _load(folder: Path, step: int) -> dict[str, Any]:
    manifest = json.loads((folder / f"step-{step}.json").read_bytes())
    data = (folder / f"step-{step}.pt").read_bytes()
    if len(data) != manifest["size"] or hashlib.sha256(data).hexdigest() != manifest["sha256"]:
        raise ValueError("size or SHA-256 differ from its manifest")
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if state["schema"] != SCHEMA_VERSION:
        raise ValueError(f"written by another version, schema {state['schema']}")
    return state


def save_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Weights alone as safetensors, with class names and preprocessing in the metadata."""
    from safetensors.torch import save as to_bytes

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, _sorted_header(to_bytes(plain, metadata=dict(metadata))))


def _sorted_header(data: bytes) -> bytes:
    """The same file with its header's keys in order: safetensors writes metadata in an order that varies.

    Layout: 8 bytes little-endian length, JSON header padded with spaces to 8 bytes, tensors.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]
