"""What is mistyped is told before the dataset is scanned."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tui_trainer import early, tensorboard, vision
from tui_trainer.config import Config
from tui_trainer.data import sources
from tui_trainer.errors import UserError

from .conftest import Told

Cli = Callable[..., Told]


@pytest.fixture(autouse=True)
def unscanned(monkeypatch: pytest.MonkeyPatch) -> None:
    def scan(*_: object, **__: object) -> None:
        raise AssertionError("the dataset was scanned")

    monkeypatch.setattr(sources, "open_source", scan)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--model", "resnet81"], 2, "Unknown model resnet81; did you mean resnet18?"),
        (["--model", "Lenet"], 2, "Unknown model Lenet; did you mean lenet?"),
        (["--model", "no_such_g.mod:Foo"], 2, "There is no module no_such_g.mod: nothing of this name is installed"),
        (["--model", "none.py:Foo"], 2, "There is no file none.py: Foo cannot be imported from it."),
        (["--loss", "none.py:Foo"], 2, "There is no file none.py: Foo cannot be imported from it."),
        (["--data", "none.py:Foo"], 2, "There is no file none.py: Foo cannot be imported from it."),
        (["--collate-fn", "none.py:Foo"], 2, "There is no file none.py: Foo cannot be imported from it."),
        (["--device", "cuda"], 2, "device = cuda: there is no such device here; use --device auto or cpu."),
        (["--pretrained", "/none.pt"], 4, "pretrained = /none.pt: there is no such file or run; check the path."),
        (["--tensorboard"], 2, "--tensorboard needs a package: pip install 'tui-trainer[tensorboard]'"),
    ],
)
def test_a_mistake_is_told_before_the_scan(
    run_cli: Cli, digits60: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, sentence: str
) -> None:
    if "--tensorboard" in words:
        monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    if "--device" in words:
        monkeypatch.setattr(early, "_may_be_there", lambda name: False)
    told = run_cli("--no-tui", *(() if "--data" in words else ("--data", digits60)), *words)
    assert told.code == code
    assert sentence in told.sentence


def test_a_folder_that_may_not_be_written_is_told_before_the_scan(
    run_cli: Cli, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and real(path, mode))  # root may write all
    told = run_cli("--no-tui", digits60, "--output-dir", tmp_path / "deep" / "run")
    assert told.code == 2
    assert told.sentence == (
        f"Cannot write the run folder {tmp_path}/deep/run: {tmp_path} cannot be written; choose another --output-dir."
    )


@pytest.mark.parametrize(
    ("built_for", "driver", "there"),
    [
        ("cuda = None\nhip = None\n", True, False),
        ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", True, False),
        ("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", True, True),
        ("cuda = '12.8'\nhip = None\n", False, False),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.4'\n", False, True),
        (None, False, True),
    ],
)
def test_cuda_is_refused_only_where_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built_for: str | None, driver: bool, there: bool
) -> None:
    if built_for is not None:
        (tmp_path / "version.py").write_text("__version__ = '3'\n" + built_for)
    monkeypatch.setattr(early.sys, "platform", "linux")
    monkeypatch.setattr(early, "_has_driver", lambda: driver)
    found = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(early.importlib.util, "find_spec", lambda name: found)
    assert early._may_be_there("cuda:1") is there
    assert early._may_be_there("cpu")
    assert early._may_be_there("auto")
    assert not early._may_be_there("mps")


def test_what_is_not_known_is_left_to_pytorch(digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.pt").touch()
    for name in ("auto", "lenet", "mlp", "resnet18", "timm:resnet99"):
        early.require_there(Config().replace(model=name, device="npu", pretrained=str(tmp_path / "w.pt")))
    for values in ({"resume": "a"}, {"branch": "a"}):
        early.require_there(Config().replace(pretrained="/none.pt", **values))
    with pytest.raises(UserError, match="Unknown model resnet99"):
        early.require_there(Config().replace(model="resnet99"))
    monkeypatch.setattr(vision, "names_in_source", tuple)
    early.require_there(Config().replace(model="resnet99"))
