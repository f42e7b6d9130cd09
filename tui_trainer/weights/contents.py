"""The values that say what is in a weight file: tensors, where their bytes lie, groups of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Role = Literal["weights", "ema", "optimizer", "other"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBytes:
    """Where the bytes of one storage lie in the file."""

    key: str  # equal for tensors that share memory
    size: int  # bytes, unpacked
    start: int  # of the bytes themselves, or of the zip entry's local header
    entry: bytes = b""  # name of the zip entry; empty outside of zip files
    packed_size: int = 0  # bytes in the file, for a zip entry
    deflated: bool = False
    crc: int = 0  # CRC-32 of the unpacked bytes; 0 when the file was saved without
    big_endian: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorInfo:
    """One tensor of a weight file; its numbers are not read yet."""

    name: str  # raw, as in the file: pass it through `text.display` before showing it
    dtype: str  # torch's name without "torch."
    shape: tuple[int, ...]
    stride: tuple[int, ...] = ()  # in numbers
    offset: int = 0  # of the first number in its storage, in numbers
    numel: int = 0
    nbytes: int = 0
    conjugated: bool = False  # the stored numbers are the complex conjugates of the tensor's
    negated: bool = False
    stored: StoredBytes | None = None
    problem: str = ""  # why it cannot be read; empty when it can

    @property
    def storage(self) -> str:
        """The id of its storage, equal for tensors that share memory; empty when there is none."""
        return self.stored.key if self.stored else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """One set of tensors in a file, as `model` and `ema` of a nested checkpoint."""

    path: str  # keys from the outside in, joined by dots; empty for the file itself
    role: Role = "weights"
    tensors: tuple[TensorInfo, ...] = ()
    module_class: str = ""  # qualified name, when the group is a pickled nn.Module

    @property
    def numel(self) -> int:
        """How many numbers its tensors hold."""
        return sum(tensor.numel for tensor in self.tensors)


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFile:
    """What a weight file holds. Names in it come from the file: `text.display` them before showing."""

    path: Path  # the file itself, also when a run folder was asked for
    format: str
    size: int  # bytes
    modified_ns: int  # when it was last changed, so that another file under its name is noticed
    groups: tuple[Group, ...]
    chosen: Group
    metadata: dict[str, str] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()  # of the classifier's rows, where the file lists them
    notes: tuple[str, ...] = ()  # sentences for the user, already safe to show

    @property
    def tensors(self) -> tuple[TensorInfo, ...]:
        """The tensors of the chosen group."""
        return self.chosen.tensors

    @property
    def module_class(self) -> str:
        """Qualified name of the pickled module's class; empty for a plain state_dict."""
        return self.chosen.module_class
