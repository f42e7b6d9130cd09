"""PyTorch's libraries without PyTorch, and what is as before once it is loaded."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui_trainer.tui import preload

MAPPED = """
import sys
from tui_trainer.tui.preload import preload
preload()
maps = open("/proc/self/maps").read()
print(all(name in maps for name in ("libtorch_python", "_multiarray_umath", "cv2")), "torch" in sys.modules)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the import does all of it")
def test_the_libraries_are_linked_before_the_import() -> None:
    done = subprocess.run([sys.executable, "-c", MAPPED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_what_cannot_be_linked_is_left_to_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart" / "broken.so").write_bytes(b"no library")
    monkeypatch.syspath_prepend(tmp_path)
    tried: list[str] = []
    files = preload._files
    monkeypatch.setattr(preload, "_files", lambda package, pattern: tried.append(package) or files(package, pattern))
    rest = [(name, "*.so", os.RTLD_LOCAL) for name in ("not_installed_at_all", "apart", "after_it")]
    monkeypatch.setattr(preload, "LIBRARIES", rest)
    preload.preload()
    assert tried == ["not_installed_at_all", "apart"]


@pytest.mark.parametrize("failure", [None, OSError("no such library")])
def test_the_interpreter_is_as_before(failure: OSError | None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, float]] = []

    def at_work() -> None:
        seen.append((gc.isenabled(), sys.getswitchinterval()))
        if failure:
            raise failure

    monkeypatch.setattr(preload, "preload", at_work)
    before = sys.getswitchinterval()
    if failure:
        with pytest.raises(OSError, match="no such library"):
            preload.warm_up()
    else:
        preload.warm_up()
    gc.unfreeze()
    assert seen == [(False, pytest.approx(preload.SWITCH))]
    assert gc.isenabled()
    assert sys.getswitchinterval() == before
