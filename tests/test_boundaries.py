"""A run goes on exactly from every batch boundary, with any number of workers."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.config import Config, build, read_toml
from tui_trainer.engine.job import NoCommands
from tui_trainer.run import prepare
from tui_trainer.run_folder import RunFolder

from .conftest import metrics_but_seconds

STEPS = 6  # of an epoch
NET = f"{Path(__file__).parent / 'small_net.py'}:Net"
VALUES: dict[str, Any] = {
    "model": NET, "trust_code": True, "image_size": 8, "batch_size": 8, "epochs": 2, "augment": "light",
    "mixup": 0.2, "optimizer": "adamw", "lr_scheduler": "cosine", "model_ema": True, "amp": True,
    "checkpoint_every": "1steps", "keep_checkpoints": 99,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(digits60: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of two epochs that keeps the checkpoint of every step."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    made = prepare(Config().replace(data=str(digits60), output_dir=str(folder), **VALUES))
    list(made.events(NoCommands()))
    return made.folder


def gone_on(whole: RunFolder, folder: Path, step: int, **values: Any) -> RunFolder:
    """A copy of the run as it was after `step`, trained to its end."""
    ignored = shutil.ignore_patterns("*.safetensors", "step-*", "metrics.csv", "events.jsonl")
    shutil.copytree(whole.path, folder, ignore=ignored)
    for end in ("pt", "json"):
        shutil.copy(whole.checkpoints / f"step-{step}.{end}", folder / "checkpoints")
    lines = (whole.path / "metrics.csv").read_text().splitlines(keepends=True)
    (folder / "metrics.csv").write_text("".join(lines[: 1 + step // STEPS]))
    config = build(read_toml(folder / "config.toml")).replace(resume=str(folder), trust_code=True, **values)
    made = prepare(config)
    list(made.events(NoCommands()))
    return made.folder


def come_to(run: RunFolder) -> Any:
    return (run.checkpoints / "final.safetensors").read_bytes(), metrics_but_seconds(run.metrics)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_run_goes_on_exactly_from_every_batch_of_an_epoch(whole: RunFolder, tmp_path: Path, workers: int) -> None:
    for step in range(1, STEPS + 1):
        assert come_to(gone_on(whole, tmp_path / str(step), step, num_workers=workers)) == come_to(whole), step


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_same_with_processes(whole: RunFolder, tmp_path: Path, workers: int, method: str) -> None:
    values = {"num_workers": workers, "worker_type": "process", "multiprocessing_context": method}
    for step in range(1, 2 * STEPS):
        assert come_to(gone_on(whole, tmp_path / str(step), step, **values)) == come_to(whole), step
