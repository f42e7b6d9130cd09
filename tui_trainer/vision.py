"""The one door to torchvision.

torchvision's wheels on the package index are built for CUDA. Beside a CPU-only torch their
compiled operators do not load, and the import fails where their Python side registers fake
implementations for `torchvision::nms` and `torchvision::qnms`. Where that is so, the two schemas
are declared here first; models, datasets and transforms then work, because none of them uses a
compiled operator. With a full install nothing is declared. Never use `torchvision.ops` or
`torchvision.io` through this module.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_REGISTERED = re.compile(rb"^@register_model\(\)$.*?^def (\w+)", re.MULTILINE | re.DOTALL)
_declared: list[torch.library.Library] = []  # a Library withdraws its schemas when it is collected


@functools.cache
def torchvision() -> ModuleType:
    """The package, imported at the first call (2 to 6 s cold)."""
    try:
        import torchvision as package
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _declare_schemas()
        import torchvision as package
    return package  # type: ignore[no-any-return]


def _declare_schemas() -> None:
    import sys

    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # what the failed import left behind
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _declared.append(library)


def models() -> Any:
    """`torchvision.models`."""
    return torchvision().models


@functools.cache
def names_in_source() -> tuple[str, ...]:
    """The names of its models, read from its files in milliseconds instead of imported; none where that cannot be."""
    found = importlib.util.find_spec("torchvision")
    folders = (found and found.submodule_search_locations) or ()
    names: list[bytes] = []
    try:
        for path in sorted(path for folder in folders for path in (Path(folder) / "models").glob("*.py")):
            names += _REGISTERED.findall(path.read_bytes())
    except OSError:
        return ()
    return tuple(name.decode() for name in names)


def transforms() -> Any:
    """`torchvision.transforms.v2`."""
    torchvision()
    from torchvision.transforms import v2

    return v2


def datasets() -> Any:
    """`torchvision.datasets`."""
    return torchvision().datasets
