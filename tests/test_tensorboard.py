"""What TensorBoard itself reads of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tui_trainer import tensorboard
from tui_trainer.commands import Stop
from tui_trainer.config import Config, resolve
from tui_trainer.engine.job import Commands
from tui_trainer.events import Evaluated, Progress
from tui_trainer.results.outcomes import Classified
from tui_trainer.results.tested import run_test
from tui_trainer.results.trained import load_trained
from tui_trainer.run import Run, prepare
from tui_trainer.run_folder import RunFolder

from .conftest import Script, Told

SETTINGS = {
    "epochs": 3,
    "batch_size": 8,
    "threads": 1,
    "log_every": 2,
    "checkpoint_every": "2steps",
    "keep_checkpoints": 9,
}


def read(folder: RunFolder, part: str) -> Any:
    return EventAccumulator(str(folder.tensorboard / part)).Reload()


def points(reader: Any, tag: str) -> list[tuple[int, float]]:
    """Steps and numbers, which TensorBoard keeps as float32."""
    return [(point.step, point.value) for point in reader.Scalars(tag)]


def train(run: Run, commands: Commands) -> RunFolder:
    list(run.events(commands))
    return run.folder


def expected(folder: RunFolder) -> dict[str, list[tuple[int, float]]]:
    """The curves as events.jsonl has them, without what was trained twice."""
    found: dict[str, dict[int, float]] = {}
    for event in folder.read_events():
        if isinstance(event, Evaluated):
            for name in ("train_loss", "train_top1", "val_loss", "val_top1", "val_f1"):
                found.setdefault(name, {})[event.step] = event.metrics[name]
        elif isinstance(event, Progress) and event.part == "train":
            found.setdefault("batch_loss", {})[event.step] = event.metrics["batch_loss"]
            found.setdefault("lr", {})[event.step] = event.lr
    return {name: sorted(points.items()) for name, points in found.items()}


@pytest.fixture(scope="module")
def resumed(digits60: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that stopped at step 9 and then went on from the checkpoint of step 4."""
    folder = tmp_path_factory.mktemp("runs") / "resumed"
    config = Config().replace(data=str(digits60), output_dir=str(folder), tensorboard=True, **SETTINGS)
    train(prepare(config.replace(epochs=2)), Script(at11=[Stop()]))
    assert (folder / "checkpoints" / "step-9.json").exists()
    for file in (folder / "checkpoints").glob("step-[689].*"):
        file.unlink()
    again = resolve({"resume": str(folder), "epochs": 3}, folder / "config.toml").config
    return train(prepare(again, given={"epochs"}), Script())


def test_its_reader_finds_every_point_once_after_a_resume(resumed: RunFolder) -> None:
    wanted, parts = expected(resumed), {part: read(resumed, part) for part in tensorboard.PARTS}
    assert [step for step, _ in wanted["batch_loss"]] == [2, 4, 6, 8, 10, 12, 14, 16, 18]
    for name, curve in wanted.items():
        part, _, tag = name.partition("_")
        part, tag = {"batch": ("train", f"batch/{tag}"), "lr": ("train", "lr")}.get(part, (part, tag))
        found = points(parts[part], tag)
        assert [step for step, _ in found] == [step for step, _ in curve], name
        assert [value for _, value in found] == pytest.approx([value for _, value in curve], rel=1e-6)
    assert [epoch for _, epoch in points(parts["train"], "epoch")] == [1, 2, 3]


def test_the_confusion_matrix_is_a_picture_of_each_epoch(resumed: RunFolder) -> None:
    reader = read(resumed, "val")
    assert [image.step for image in reader.Images("confusion")] == [6, 12, 18]
    last = cv2.imdecode(
        np.frombuffer(reader.Images("confusion")[-1].encoded_image_string, np.uint8), cv2.IMREAD_COLOR_RGB
    )
    tested = run_test(load_trained(str(resumed.path), "final"))
    assert isinstance(tested.outcomes, Classified)
    assert (last == tensorboard.confusion_picture(tested.outcomes.confusion, ("0", "1", "2"))).all()


def test_the_hyperparameters_stand_with_the_metrics_that_they_led_to(resumed: RunFolder) -> None:
    reader = read(resumed, "val")
    assert set(reader.PluginTagToContent("hparams")) == {
        f"_hparams_/{name}" for name in ("experiment", "session_start_info", "session_end_info")
    }
    said = {tag: HParamsPluginData.FromString(text) for tag, text in reader.PluginTagToContent("hparams").items()}
    given = said["_hparams_/session_start_info"].session_start_info.hparams
    assert given["lr"].number_value == 0.01
    assert given["model"].string_value == "lenet"
    assert "momentum" not in given  # it has its default
    assert {info.name.tag for info in said["_hparams_/experiment"].experiment.metric_infos} == {"loss", "top1", "f1"}


def test_a_matrix_of_many_classes_is_a_picture_without_names() -> None:
    counts = np.zeros((1000, 1000), np.int64)
    counts[3, 7] = 5
    picture = tensorboard.confusion_picture(counts, tuple(map(str, range(1000))))
    assert picture.shape == (1000, 1000, 3)
    assert picture[3, 7].tolist() == [192, 57, 43]
    assert (picture != 255).any(2).sum() == 1


def test_without_the_package_nothing_is_begun(
    run_cli: Callable[..., Told], digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    told = run_cli("--no-tui", digits60, "--tensorboard", "--output-dir", tmp_path / "run")
    assert told.code == 2
    assert "pip install 'tui-trainer[tensorboard]'" in told.sentence
    assert not (tmp_path / "run").exists()
