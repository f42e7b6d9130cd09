"""PyTorch, NumPy and OpenCV into the process beside other work: without holding the interpreter where that can be.

`import` holds the interpreter while the linker works through a library: 0.3 s for PyTorch's. The same call through
ctypes releases it, and the import that follows finds the library there.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import logging
import os
import sys
import threading
from pathlib import Path

from tui_trainer.steering import flush

LIBRARIES = (
    ("numpy", "_core/_multiarray_umath*.so", os.RTLD_LOCAL),
    ("cv2", "cv2*.so", os.RTLD_LOCAL),
    ("torch", "lib/libtorch_global_deps.so", os.RTLD_GLOBAL),  # what PyTorch itself loads first, and so
    ("torch", "lib/libtorch_python.so", os.RTLD_LOCAL),
)
PATIENCE = 0.2  # seconds that the import leaves the interpreter to short work
THREAD = "import"  # its name
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
    """Such files of a package, which is not imported for it; none of one that is."""
    if package in sys.modules:
        return []
    spec = importlib.util.find_spec(package)
    return [path for folder in (spec and spec.submodule_search_locations) or () for path in Path(folder).glob(pattern)]


class Beside:
    """What training needs is imported in a thread: linked at once, and the rest when other work is over or takes long.

    Two threads that both want the interpreter take longer than one after the other.
    """

    def __init__(self) -> None:
        self._failure: BaseException | None = None
        self._awaited = threading.Event()
        self._thread = threading.Thread(target=self._import, name=THREAD)
        self._thread.start()

    def _import(self) -> None:
        try:
            preload()
            self._awaited.wait(PATIENCE)
            warm_up()
        except BaseException as failure:  # raised where it is waited for
            self._failure = failure

    def wait(self) -> None:
        """Until it is there; what goes wrong is raised here."""
        self._awaited.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure


def leave(code: int) -> None:
    """End the process where an import goes on that nobody needs: otherwise the interpreter would wait for it."""
    if _going_on():
        logging.shutdown()
        flush()
        os._exit(code)


def settle() -> None:
    """Wait for an import that goes on, which changes how the interpreter works meanwhile."""
    for thread in _going_on():
        thread.join()


def _going_on() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def warm_up() -> None:
    """Import what training needs, while the first screen or the scan of the dataset goes on."""
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
