"""PyTorch, NumPy and OpenCV into the process without holding the interpreter, so that keys are answered meanwhile.

`import` holds the interpreter while the linker works through a library: 0.3 s for PyTorch's. The same call through
ctypes releases it, and the import that follows finds the library there.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
from pathlib import Path

LIBRARIES = (
    ("numpy", "_core/_multiarray_umath*.so", os.RTLD_LOCAL),
    ("cv2", "cv2*.so", os.RTLD_LOCAL),
    ("torch", "lib/libtorch_global_deps.so", os.RTLD_GLOBAL),  # what PyTorch itself loads first, and so
    ("torch", "lib/libtorch_python.so", os.RTLD_LOCAL),
)
SWITCH = 0.0002  # seconds for which the import keeps the interpreter while a key waits: an answer takes many turns


def preload() -> None:
    """Link the libraries; from the first that cannot be on, all is left to the import, which says what is wrong."""
    if not sys.platform.startswith("linux"):
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for package, pattern, scope in LIBRARIES:
        for path in _files(package, pattern):
            if not dlopen(os.fsencode(path), os.RTLD_NOW | scope):
                return


def _files(package: str, pattern: str) -> list[Path]:
    """Such files of a package that is not imported for it."""
    spec = importlib.util.find_spec(package)
    return [path for folder in (spec and spec.submodule_search_locations) or () for path in Path(folder).glob(pattern)]


def warm_up() -> None:
    """Import what training needs while the first screen only waits."""
    switch = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    gc.disable()  # each full collection walks PyTorch's modules: 0.2 s in which no key is answered
    try:
        preload()
        import tui_trainer.run  # noqa: F401

        gc.freeze()
    finally:
        gc.enable()
        sys.setswitchinterval(switch)
