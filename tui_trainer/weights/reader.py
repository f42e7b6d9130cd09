"""The one way into a weight file: what is in it, and its tensors. No byte of it is ever executed.

list_weights       recognises the format by content, reads names and shapes; needs no torch
read_tensor        one tensor
read_state_dict    many; tensors that share memory in the file share it here
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.errors import WeightsError
from tui_trainer.text import display
from tui_trainer.weights import legacy, run_checkpoints, safetensors_file, sniff, torch_archive
from tui_trainer.weights.contents import Group, TensorInfo, WeightFile
from tui_trainer.weights.limits import MAX_NOTES, Cancelled, UnreadableError, never
from tui_trainer.weights.regular_file import FileBytes, opened
from tui_trainer.weights.torch_archive import Listing

if TYPE_CHECKING:
    import torch

_HEAD_BYTES = 1024
_PROBLEMS_NAMED = 3


def list_weights(path: str | Path, cancelled: Cancelled = never) -> WeightFile:
    """What is in the weight file at `path`; of a run folder, its best checkpoint.

    Raises:
        WeightsError: it is no weight file, damaged, or cannot be opened.
        ReadingCancelledError: `cancelled` said so.
    """
    path = run_checkpoints.weight_file_of(Path(path))
    with _explained(path), opened(path) as source:
        listing = _recognised(source)(source, cancelled)
        groups = tuple(
            Group(path=found.path, role=found.role, module_class=found.module, tensors=_named(tensors))
            for found, tensors in listing.groups
        )
        chosen = _chosen(groups)
        return WeightFile(
            path=path,
            format=listing.format,
            size=source.size,
            modified_ns=source.modified_ns,
            groups=groups,
            chosen=chosen,
            metadata=listing.metadata or {},
            class_names=listing.class_names or run_checkpoints.class_names(listing.metadata or {}),
            notes=_notes(listing, chosen),
        )


def choose_group(file: WeightFile, path: str) -> WeightFile:
    """The same file with another of its groups chosen.

    Raises:
        WeightsError: it has no such group.
    """
    for group in file.groups:
        if group.path == path and group.tensors:
            return replace(file, chosen=group)
    known = ", ".join(display(group.path, 40) or "(the file itself)" for group in file.groups if group.tensors)
    raise WeightsError(f"no weights are called {display(path, 60)}: {display(file.path)}: choose one of {known}.")


def read_tensor(file: WeightFile, name: str) -> torch.Tensor:
    """The tensor `name` of the chosen group, copied out of the file.

    Raises:
        WeightsError: there is none, it is damaged, or the file has changed since it was listed.
    """
    return read_state_dict(file, [name])[name]


def read_state_dict(
    file: WeightFile, names: Iterable[str] | None = None, cancelled: Cancelled = never
) -> dict[str, torch.Tensor]:
    """The tensors `names` of the chosen group (all of them by default), in the order of the file.

    Raises:
        WeightsError: one is missing or damaged, or the file has changed since it was listed.
    """
    from tui_trainer.weights.tensors import read_all

    wanted = _wanted(file, names)
    with _explained(file.path), opened(file.path) as source:
        if (source.size, source.modified_ns) != (file.size, file.modified_ns):
            raise UnreadableError("it has changed since it was listed: open it again")
        return read_all(source, wanted, cancelled)


def _wanted(file: WeightFile, names: Iterable[str] | None) -> list[TensorInfo]:
    if names is None:
        wanted = list(file.tensors)
    else:
        known = {tensor.name: tensor for tensor in file.tensors}
        missing = next((name for name in names if name not in known), None)
        if missing is not None:
            raise WeightsError(
                f"no tensor is called {display(missing, 80)}: {display(file.path)}: choose one of its own names."
            )
        wanted = [known[name] for name in dict.fromkeys(names)]
    for tensor in wanted:
        if tensor.problem:
            raise WeightsError(
                f"the tensor {display(tensor.name, 80)} cannot be read, {tensor.problem}: "
                f"{display(file.path)}: leave it out, or get the file again."
            )
    return wanted


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Adds which file it was to whatever goes wrong while reading it."""
    try:
        yield
    except UnreadableError as error:
        raise WeightsError(f"this weight file cannot be read: {display(path)}: {error.sentence}.") from None
    except (OSError, MemoryError) as error:
        why = getattr(error, "strerror", None) or "not enough memory"
        raise WeightsError(f"reading the weight file failed ({why}): {display(path)}: try it again.") from None


def _recognised(source: FileBytes) -> Callable[[FileBytes, Cancelled], Listing]:
    """The way to list a file, by its first bytes."""
    head = source.head(_HEAD_BYTES)
    if head.startswith(b"PK"):
        return torch_archive.list_archive
    if legacy.MAGIC_BYTES in head[:32] or str(legacy.MAGIC).encode() in head[:40]:
        return legacy.list_legacy
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") >= 2:
        return safetensors_file.list_safetensors
    if head[:1] == b"\x80" and head[1:2] in b"\x00\x01\x02\x03\x04\x05":
        return legacy.list_bare_pickle
    raise UnreadableError(sniff.about_file(head, source.size))


def _named(tensors: tuple[TensorInfo, ...]) -> tuple[TensorInfo, ...]:
    """A tensor that was saved alone has no name; it gets one."""
    return tuple(
        replace(tensor, name="tensor") if not tensor.name and len(tensors) == 1 else tensor for tensor in tensors
    )


def _chosen(groups: tuple[Group, ...]) -> Group:
    """The group most likely meant: the one with most numbers; of equals the moving average."""
    candidates = [group for group in groups if group.tensors and group.role in ("weights", "ema")]
    if not candidates:
        raise UnreadableError("it holds no tensors: give the file that has the model's state_dict")
    return max(candidates, key=lambda group: (group.numel, group.role == "ema"))


def _notes(listing: Listing, chosen: Group) -> tuple[str, ...]:
    """What the user should know about the file, in sentences."""
    notes = []
    if listing.foreign:
        shown = ", ".join(display(name, 60) for name in listing.foreign[:5])
        more = f" and {len(listing.foreign) - 5} more" if len(listing.foreign) > 5 else ""
        notes.append(f"The file also mentions {shown}{more}; none of it was run.")
    broken = [tensor for tensor in chosen.tensors if tensor.problem]
    notes += [f"{display(tensor.name, 60)}: {tensor.problem}." for tensor in broken[:_PROBLEMS_NAMED]]
    if len(broken) > _PROBLEMS_NAMED:
        notes.append(f"{len(broken)} of {len(chosen.tensors)} tensors cannot be read.")
    return tuple(notes[:MAX_NOTES])
