"""PyTorch's libraries without PyTorch, and what is as before once it is loaded."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui_trainer import preload

MAPPED = """
import sys
from tui_trainer.preload import preload
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


LEFT = """
import os, sys, threading, time
from tui_trainer import cli, preload
preload.warm_up = lambda: time.sleep(60)
sys.argv = ["tui-trainer", "--no-tui", "--json", {data!r}]
sys.exit(cli.main())
"""


def test_what_the_scan_refuses_is_told_while_pytorch_is_imported_and_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "data" / "cat").mkdir(parents=True)
    code = LEFT.format(data=str(tmp_path / "data"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 3
    assert "holds no images" in done.stderr
    assert json.loads(done.stdout)["error"]["kind"] == "data"


def test_what_calls_the_command_line_with_words_of_its_own_goes_on(tmp_path: Path) -> None:
    (tmp_path / "data" / "cat").mkdir(parents=True)
    code = LEFT.format(data=str(tmp_path / "data")).replace("time.sleep(60)", "time.sleep(1)")
    code = code.replace("sys.exit(cli.main())", "print('code', cli.main(sys.argv[1:]))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.endswith("code 3\n")


ORDER = """
import sys
from tui_trainer import preload
from tui_trainer.config import Config
from tui_trainer.data import first_look
from tui_trainer.session import LocalSession
seen, scan, warm_up = [], first_look.first_look, preload.warm_up
def scanned(*given):
    seen.append("torch" in sys.modules)
    return scan(*given)
first_look.first_look = scanned
session = LocalSession(Config().replace(data={data!r}, output_dir={folder!r}, epochs=1))
next(session.events())
print(seen, "torch" in sys.modules, preload.THREAD)
"""


def test_the_dataset_is_scanned_before_pytorch_is_there(digits60: Path, tmp_path: Path) -> None:
    code = ORDER.format(data=str(digits60), folder=str(tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[False] True import"


def test_an_import_that_fails_is_told_where_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("libsomething.so: no such file")

    monkeypatch.setattr(preload, "preload", lambda: None)
    monkeypatch.setattr(preload, "warm_up", broken)
    beside = preload.Beside()
    with pytest.raises(ImportError, match="libsomething"):
        beside.wait()


def test_short_work_has_the_interpreter_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lasts longer than the import's patience goes on beside it."""
    order: list[str] = []
    monkeypatch.setattr(preload, "preload", lambda: None)
    monkeypatch.setattr(preload, "warm_up", lambda: order.append("import"))
    monkeypatch.setattr(preload, "PATIENCE", 60.0)
    short = preload.Beside()
    order.append("short work")
    short.wait()
    monkeypatch.setattr(preload, "PATIENCE", 0.0)
    long = preload.Beside()
    long._thread.join(60)
    order.append("long work")
    long.wait()
    assert order == ["short work", "import", "import", "long work"]
