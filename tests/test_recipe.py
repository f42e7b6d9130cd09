"""Every setting of the recipe changes something: a run with it differs from one without."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer.config import SETTINGS, Config, resolve
from tui_trainer.engine.job import Job, NoCommands
from tui_trainer.errors import ConfigError
from tui_trainer.events import RunEnded, SettingChanged
from tui_trainer.run import prepare

# setting -> its value, and what else both runs need for it to count
CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "epochs": (2, {"epochs": 1}),
    "lr": (0.02, {}),
    "optimizer": ("adamw", {}),
    "momentum": (0.5, {}),
    "nesterov": (True, {}),
    "weight_decay": (0.1, {}),
    "decay_norm_bias": (False, {"weight_decay": 0.1}),
    "backbone_lr_factor": (0.5, {}),
    "optimizer_args": ("dampening=0.5", {}),
    "lr_scheduler": ("cosine", {}),
    "warmup_epochs": (0.5, {}),
    "step_size": (1.0, {"lr_scheduler": "step"}),
    "gamma": (0.5, {"lr_scheduler": "step", "step_size": 1.0}),
    "milestones": ((1.0,), {"lr_scheduler": "multistep", "milestones": (9.0,)}),
    "plateau_patience": (0, {"lr_scheduler": "plateau", "min_delta": 9.0, "epochs": 3}),
    "min_lr": (0.009, {"lr_scheduler": "cosine"}),
    "loss": ("bce", {}),
    "class_weights": (("5", "1", "1"), {}),
    "label_smoothing": (0.3, {}),
    "mixup": (0.4, {}),
    "cutmix": (1.0, {}),
    "random_erasing": (1.0, {}),
    "clip_grad_norm": (0.01, {}),
    "grad_accum_steps": (2, {}),
    "amp": (True, {}),
    "amp_dtype": ("fp16", {"amp": True}),
    "model_ema": (True, {}),
    "model_ema_decay": (0.0, {"model_ema": True}),
    "patience": (1, {"min_delta": 9.0, "epochs": 3}),
    "min_delta": (9.0, {"patience": 1, "monitor": "train_loss", "epochs": 3}),
    "min_epochs": (3, {"min_delta": 9.0, "patience": 1, "epochs": 4}),
    "monitor": ("train_loss", {"epochs": 1}),
    "max_minutes": (1e-6, {}),
    "seed": (1, {}),
    "lr_base_size": (64, {}),
    "lr_base_scale": ("sqrt", {"lr_base_size": 64}),
}
# tested below and in test_out_of_memory.py: they change no number
OTHERWISE = {"auto_batch", "sync_batchnorm", "channels_last", "compile", "deterministic", "device", "threads"}


def run(data: Path, folder: Path, **values: Any) -> tuple[str, Any]:
    """A short run: a hash of what it learned, and how it ended."""
    given = {"data": str(data), "output_dir": str(folder), "batch_size": 16, "epochs": 2, "threads": 1, **values}
    made = prepare(Config().replace(**given))
    last = list(made.events(NoCommands()))[-1]
    assert isinstance(last, RunEnded)
    learned = hashlib.sha256((folder / "checkpoints" / "final.safetensors").read_bytes()).hexdigest()
    return learned, (last.outcome, last.step, last.message)


def job_of(data: Path, folder: Path, **values: Any) -> Job:
    made = prepare(Config().replace(data=str(data), output_dir=str(folder), **values))
    made.lock.release()
    return made.job


def test_every_setting_of_the_recipe_is_tested_here() -> None:
    assert {*CHANGES, *OTHERWISE} == {name for name, item in SETTINGS.items() if item.table == "recipe"}


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_of_the_recipe_changes_the_run(name: str, digits60: Path, tmp_path: Path) -> None:
    value, base = CHANGES[name]
    without = run(digits60, tmp_path / "without", **base)
    assert run(digits60, tmp_path / "with", **base | {name: value}) != without


def test_the_memory_format(digits60: Path, tmp_path: Path) -> None:
    job = job_of(digits60, tmp_path, channels_last=True, channels=3)
    inputs, _ = job.prepare(next(iter(job.train_loader.epoch(0))))
    for tensor in (inputs, job.model.conv1.weight):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


OWN_NETS = """
from torch import nn

class Flat(nn.Module):
    def __init__(self, num_classes, channels, image_size):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(channels, 2, 3), nn.LazyLinear(num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))

class Viewed(Flat):
    def forward(self, x):
        return self.fc(self.conv(x).view(len(x), -1))

class TrainsViewed(Flat):
    def forward(self, x):
        x = self.conv(x)
        return self.fc(x.view(len(x), -1) if self.training else x.flatten(1))
"""


@pytest.mark.parametrize(
    ("values", "last"),
    [
        ({}, True),
        ({"model": "mlp"}, False),
        ({"model": "nets.py:Flat"}, True),
        ({"model": "nets.py:Viewed"}, False),
        ({"model": "nets.py:TrainsViewed"}, False),
    ],
)
def test_the_memory_format_is_chosen_by_the_model(
    values: dict[str, Any], last: bool, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(OWN_NETS)
    made = prepare(
        Config().replace(data=str(digits60), output_dir=str(tmp_path / "run"), channels=3, trust_code=True, **values)
    )
    made.lock.release()
    assert made.config.recipe.channels_last is last
    assert "channels_last" in {event.name for event in made.news if isinstance(event, SettingChanged)}
    assert f"channels_last = {str(last).lower()}" in made.folder.config.read_text()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the compiler imports
def test_compile_is_asked_for(digits60: Path, tmp_path: Path) -> None:
    assert job_of(digits60, tmp_path / "a", compile=True).compiled is not None
    assert job_of(digits60, tmp_path / "b").compiled is None


def test_what_cannot_be_compiled_trains_without_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_trainer.engine.compiling import Compiled

    def broken(model: object) -> Any:
        def call(inputs: object) -> None:
            raise RuntimeError("no compiler\nof any kind")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    compiled = Compiled(torch.nn.Linear(2, 2))
    assert compiled(torch.ones(1, 2)).shape == (1, 2)
    assert compiled(torch.ones(1, 2)).shape == (1, 2)
    (sentence,) = compiled.told
    assert sentence == "torch.compile does not work here (RuntimeError: no compiler): training goes on without it."


def test_determinism_threads_and_device(digits60: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        job = job_of(digits60, tmp_path / "a", deterministic=True, threads=2, device="cpu")
        assert torch.are_deterministic_algorithms_enabled()
        assert (torch.get_num_threads(), job.device.type) == (2, "cpu")
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(before)
    with pytest.raises(ConfigError, match="there is no such device here"):
        job_of(digits60, tmp_path / "b", device="cuda:99")


def test_the_rate_is_scaled_to_the_batch_of_a_step_once_and_when_asked(digits60: Path, tmp_path: Path) -> None:
    given = {"lr": 0.1, "batch_size": 8, "grad_accum_steps": 2}
    assert job_of(digits60, tmp_path / "a", **given).lr == 0.1
    assert job_of(digits60, tmp_path / "b", **given, lr_base_size=64).lr == pytest.approx(0.025)
    assert job_of(digits60, tmp_path / "c", **given, lr_base_size=64, lr_base_scale="sqrt").lr == pytest.approx(0.05)
    again = resolve({"data": str(digits60), "output_dir": str(tmp_path / "d")}, tmp_path / "b" / "config.toml").config
    made = prepare(again)
    made.lock.release()  # type: ignore[union-attr]
    assert made.job.lr == pytest.approx(0.025)


def test_a_loss_of_the_user(digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_loss.py").write_text("def squares(outputs, targets):\n    return (outputs ** 2).mean()\n")
    assert run(digits60, tmp_path / "with", loss="my_loss.py:squares") != run(digits60, tmp_path / "without")
    with pytest.raises(ConfigError, match="class_weights and label_smoothing are for the losses that are built in"):
        run(digits60, tmp_path / "both", loss="my_loss.py:squares", label_smoothing=0.1)


@pytest.mark.parametrize("values", [{"lr_scheduler": "step"}, {"lr_scheduler": "exponential"}, {"amp": True}])
def test_what_auto_became_is_told_and_kept(values: dict[str, Any], digits60: Path, tmp_path: Path) -> None:
    made = prepare(Config().replace(data=str(digits60), output_dir=str(tmp_path), **values))
    made.lock.release()
    told = {event.name: event.value for event in made.news if event.kind == "setting_changed"}
    wanted = {"step": {"gamma": "0.1", "step_size": "6.666667"}, "exponential": {"gamma": "0.95"}}
    expected = wanted.get(values.get("lr_scheduler", ""), {"amp_dtype": "bf16"})
    assert expected.items() <= told.items()
    assert all(made.config.values()[name] is not None for name in expected)
