"""What is imported when, seen in processes of their own; the static side is import-linter's (`make lint`)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tui_trainer

PACKAGE = Path(tui_trainer.__file__).parent
HEAVY = {"torch", "torchvision", "cv2", "textual", "numpy", "rich", "safetensors", "platformdirs", "multiprocessing"}


def loaded_by(code: str) -> set[str]:
    """The top-level modules, and those of this package, that a fresh process holds after `code`."""
    tell = "import sys; print('\\nMODULES', *sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", f"import sys\n{code}\n{tell}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    names = done.stderr.rpartition("MODULES")[2].split()
    return {name.partition(".")[0] for name in names} | {name for name in names if name.startswith("tui_trainer.")}


CALL = """
from tui_trainer.cli import main
try:
    code = main({words})
except SystemExit as leaving:
    code = leaving.code
assert code == {code}, code
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["--epoch", "3"], 2),
        (["--no-tui", "/none"], 3),
        (["--no-tui", "/none", "--json"], 3),
        (["--no-tui", "{digits}", "--model", "resnet81"], 2),
        (["--no-tui", "{digits}", "--pretrained", "/none.pt"], 4),
        (["--print-config", "--lr", "0.1"], 0),
    ],
)
def test_what_needs_no_network_loads_nothing_heavy(words: list[str], code: int, digits60: Path) -> None:
    words = [word.format(digits=digits60) for word in words]
    loaded = loaded_by(CALL.format(words=words, code=code))
    allowed = {"numpy", "platformdirs"} if "--no-tui" in words else set[str]()  # the scan of a dataset is numpy's
    assert not (HEAVY - {"rich", "multiprocessing"}) & loaded - allowed


LIGHT = (
    "settings",
    "config",
    "events",
    "commands",
    "errors",
    "text",
    "run_folder",
    "flags",
    "cli",
    "headless",
    "session",
)


def test_light_modules_are_light_all_together() -> None:
    loaded = loaded_by("\n".join(f"import tui_trainer.{name}" for name in LIGHT))
    assert not HEAVY & loaded
    others = {
        name for name in loaded if name.startswith(("tui_trainer.data", "tui_trainer.engine", "tui_trainer.run."))
    }
    assert others == {"tui_trainer.data_config"}


def test_values_know_nothing_of_what_stands_above_them() -> None:
    loaded = loaded_by("import tui_trainer.config, tui_trainer.events, tui_trainer.commands")
    package = {name for name in loaded if name.startswith("tui_trainer.")}
    assert package == {
        f"tui_trainer.{n}"
        for n in (
            *("config", "data_config", "recipe_config", "events", "commands", "settings", "errors", "text"),
            *("metric_names", "every"),
        )
    }


def test_the_scan_of_a_dataset_needs_no_torch() -> None:
    assert not {"torch", "cv2"} & loaded_by("import tui_trainer.data.sources")


LOW = ("errors", "events", "commands", "every", "text", "metric_names", "whole_file")


def test_the_engine_knows_no_front_end_no_images_and_no_other_part() -> None:
    loaded = loaded_by("import tui_trainer.engine.loop, tui_trainer.engine.optim")
    assert not {"rich", "textual", "cv2", "torchvision", "PIL"} & loaded
    package = {name for name in loaded if name.startswith("tui_trainer.") and not name.startswith("tui_trainer.engine")}
    assert package == {
        f"tui_trainer.{n}" for n in ("errors", "events", "commands", "text", "metric_names", "every", "whole_file")
    }


def test_a_worker_process_loads_images_and_no_front_end() -> None:
    loaded = loaded_by("import tui_trainer.data.datasets")
    assert {"torch", "cv2"} <= loaded
    assert not {"torchvision", "rich", "textual", "tui_trainer.engine", "tui_trainer.models"} & loaded


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "vision.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_torchvision_has_one_door(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not any(name.partition(".")[0] == "torchvision" for name in names), f"{file}:{node.lineno}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_files_stay_short(file: Path) -> None:
    assert file.read_text("utf-8").count("\n") <= 300


RUN = """
from tui_trainer.config import Config
from tui_trainer.engine.job import NoCommands
from tui_trainer.run import prepare
made = prepare(Config().replace(data={data!r}, output_dir={folder!r}, epochs=1))
list(made.events(NoCommands()))
"""


def test_a_run_does_not_load_the_compiler_of_torch(digits60: Path, tmp_path: Path) -> None:
    """It takes over a second, and only --compile needs it."""
    code = RUN.format(data=str(digits60), folder=str(tmp_path / "run"))
    assert loaded_by(code + "assert 'torch._dynamo' not in sys.modules") >= {"torch", "tui_trainer.run"}
