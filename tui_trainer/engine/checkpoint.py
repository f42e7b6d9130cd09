"""The state of training to a file and back: whole or not at all.

`step-N.pt` is written to a temporary file, synced, hashed and renamed; then its manifest
`step-N.json` the same way. The rename of the manifest is the commit: a checkpoint without a
manifest that agrees with it in size and SHA-256 does not exist. (torch.load does not check the
CRCs that torch.save writes: most flipped bits would load silently.)

Of a model that is shared out among ranks the tensors lie beside it in a folder `step-N.shards`, of whose files
`step-N.pt` has sizes and SHA-256, and they are written before it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from tui_trainer.engine import shards
from tui_trainer.errors import WeightsError
from tui_trainer.text import display
from tui_trainer.whole_file import replacing, require_space, sync_folder, write_whole

SCHEMA_VERSION = 1
SPARE = 1 << 20  # bytes that a checkpoint's names and numbers may take beside its tensors
_MANIFEST = re.compile(r"step-(\d{1,15})\.json")
_DATA = re.compile(r"step-(\d{1,15})\.pt")


class _Hashed:
    """A file that is hashed while it is written, so that a large state is never in memory twice.

    torch.save writes in one pass. It cannot be stopped by an exception of the file that it
    writes to (it raises one of its own), so the first one is kept and the rest left out.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size = file, 0
        self._digest = hashlib.sha256()
        self.failed: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Append `data`."""
        if self.failed is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.failed = error
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """What is left is written when the file is closed."""

    def sum(self) -> dict[str, Any]:
        """What a manifest says of the file."""
        return {"size": self.size, "sha256": self._digest.hexdigest()}


def save(folder: Path, step: int, state: Mapping[str, Any], keep: int, *, forever: bool = False) -> str:
    """Commit the state after `step`; keep the newest `keep` checkpoints and those that are kept `forever`.

    Returns the name of its file.

    Raises:
        OSError: it could not be written; earlier checkpoints are as they were.
    """
    require_space(folder, sum(t.numel() * t.element_size() for t in _tensors(state)) + SPARE)
    name, path = f"step-{step}.pt", folder / f"step-{step}.json"
    manifest: dict[str, Any] = {"schema": SCHEMA_VERSION, "step": step, "file": name, "keep": forever}
    with replacing(folder / name) as file:
        hashed = _Hashed(file)
        torch.save({"schema": SCHEMA_VERSION, **state}, hashed)  # type: ignore[arg-type]
        if hashed.failed:
            raise hashed.failed
        manifest |= hashed.sum()
        if before := _before(path):
            # The file of this step is about to be replaced: until the manifest is too, either of them is whole.
            write_whole(path, json.dumps(manifest | {"or": before}).encode())
    with replacing(path) as file:
        file.write(json.dumps(manifest).encode())
    sync_folder(folder)
    _retire(folder, step, keep, state.get(shards.SHARDS, {}).get("folder"))
    return name


def _tensors(value: object) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item)


def _before(manifest: Path) -> dict[str, Any] | None:
    """What an earlier manifest of the same step says of its file."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(manifest.read_bytes())
        return {"size": known["size"], "sha256": known["sha256"]}
    return None


def _retire(folder: Path, step: int, keep: int, own: str | None) -> None:
    """Remove checkpoints that newer ones have made superfluous, and files of saves that were cut off."""
    older = [known for known in _steps(folder) if known <= step]  # a later one is damaged, or load_newest had taken it
    kept = set(older[:keep]) | {known for known in older[keep:] if _is_kept(folder, known)}
    found = [_DATA.fullmatch(path.name) for path in folder.iterdir()]
    for old in {int(match[1]) for match in found if match} | set(older):
        if old < step and old not in kept:
            with contextlib.suppress(OSError):  # it takes space, and harms nothing
                (folder / f"step-{old}.json").unlink(missing_ok=True)
                (folder / f"step-{old}.pt").unlink(missing_ok=True)
    for path in folder.glob("step-*"):
        match = shards.FOLDER.fullmatch(path.name)
        if match and path.name != own and int(match[1]) <= step and int(match[1]) not in kept - {step}:
            shutil.rmtree(path, ignore_errors=True)


def _is_kept(folder: Path, step: int) -> bool:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return bool(json.loads((folder / f"step-{step}.json").read_bytes()).get("keep"))
    return False


def _steps(folder: Path) -> list[int]:
    """Steps that have a manifest, newest first."""
    found = [_MANIFEST.fullmatch(path.name) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted((int(match[1]) for match in found if match), reverse=True)


def load_newest(folder: Path, warn: Callable[[str], None], step: int | None = None) -> dict[str, Any]:
    """The newest state that is whole; each damaged one before it is told to `warn`. With `step` that one alone.

    Raises:
        WeightsError: there is none.
    """
    known = _steps(folder)
    if step is not None and step not in known:
        have = ", ".join(map(str, known)) or "none"
        raise WeightsError(f"There is no checkpoint of step {step} in {display(folder)}: there are {have}.")
    for one in known if step is None else [step]:
        try:
            return _load(folder, one)
        except Exception as error:  # an unpickler meets damage with IndexError, struct.error and many more
            damaged = display(folder / f"step-{one}.pt")
            warn(f"Checkpoint {damaged} is damaged ({display(error)}): trying the one before.")
    raise WeightsError(f"There is no whole checkpoint in {display(folder)}: nothing to go on from.")


def _load(folder: Path, step: int) -> dict[str, Any]:
    manifest = json.loads((folder / f"step-{step}.json").read_bytes())
    data = (folder / f"step-{step}.pt").read_bytes()
    found = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if found not in ({name: manifest[name] for name in found}, manifest.get("or")):
        raise ValueError("size or SHA-256 differ from its manifest")
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if state["schema"] != SCHEMA_VERSION:
        raise ValueError(f"written by another version, schema {state['schema']}")
    return shards.verified(state, folder)


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
