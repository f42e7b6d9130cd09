"""Memory runs out: what was trained is kept, and smaller batches go on with the same steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tui_trainer.config import Config
from tui_trainer.engine.keeping import keep_what_is_whole
from tui_trainer.engine.loop import train
from tui_trainer.events import CheckpointSaved, Progress, RunStarted, Warned
from tui_trainer.failures import with_smaller_batches
from tui_trainer.run_folder import RunFolder

from .conftest import Told, metrics_but_seconds

Cli = Callable[..., Told]
MODEL = f"{Path(__file__).parent / 'small_net.py'}:Hungry"


def words(data: Path, folder: Path, *more: object) -> tuple[object, ...]:
    size = ("--image-size", 8, "-b", 8, "--epochs", 2, "--trust-code")
    return ("--no-tui", "--json", data, "--model", MODEL, *size, "--output-dir", folder, *more)


def final(folder: Path) -> bytes:
    return (folder / "checkpoints" / "final.safetensors").read_bytes()


def test_what_was_trained_is_saved_and_the_advice_goes_on_with_the_same_steps(
    digits60: Path, tmp_path: Path, run_cli: Cli
) -> None:
    folder = tmp_path / "run"
    told = run_cli(*words(digits60, folder, "--model-args", "calls=9"))
    assert told.code == 5
    sentence = told.json["error"]["message"]
    assert "Out of memory: try --batch-size 4 --grad-accum-steps 2, which make the same steps" in sentence
    assert [e.step for e in RunFolder(folder).read_events() if isinstance(e, CheckpointSaved)] == [6, 9]
    advice = sentence.partition("try ")[2].partition(",")[0].split()
    told = run_cli("--no-tui", "--json", "--resume", folder, "--trust-code", *advice)
    assert (told.code, told.json["outcome"], told.json["steps"]) == (0, "finished", 12), told.err
    assert "warning: Not bit-exact: the same steps, of batches of 4 where they were of 8." in told.err
    assert run_cli(*words(digits60, tmp_path / "whole", "--model-args", "most=8")).code == 0
    one, other = (load_file(path / "checkpoints" / "final.safetensors") for path in (folder, tmp_path / "whole"))
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)
    rows, wanted = (metrics_but_seconds(path / "metrics.csv") for path in (folder, tmp_path / "whole"))
    assert [row["step"] for row in rows] == [row["step"] for row in wanted]
    assert [float(row["train_loss"]) for row in rows] == pytest.approx([float(row["train_loss"]) for row in wanted])


def test_a_model_that_does_not_fit_on_the_device_is_told_and_leaves_no_folder(
    digits60: Path, tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs_out(*given: Any, **named: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr("tui_trainer.run.in_memory_format", runs_out)
    told = run_cli("--no-tui", digits60, "--output-dir", tmp_path / "run")
    assert told.code == 5
    assert told.sentence.startswith("Out of memory: lenet does not fit on cpu: try a smaller model")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("calls", [0, 9])
def test_auto_batch_goes_on_by_itself(digits60: Path, tmp_path: Path, run_cli: Cli, calls: int) -> None:
    """From the very first step too; and again, until it fits."""
    folder = tmp_path / "run"
    told = run_cli(*words(digits60, folder, "--model-args", f"most=2,calls={calls}", "--auto-batch"))
    assert (told.code, told.json["outcome"], told.json["steps"]) == (0, "finished", 12), told.err
    events = list(RunFolder(folder).read_events())
    warned = [event.message for event in events if isinstance(event, Warned) and event.topic == "memory"]
    sizes = [("4", "2"), ("2", "4")]
    if calls:  # a new process of the same model may begin with so many calls again
        sizes = sizes[:1]
    flags = [f"going on with --batch-size {size} --grad-accum-steps {steps}." for size, steps in sizes]
    assert [text.partition(": ")[2] for text in warned] == flags
    assert [event.step for event in events if isinstance(event, RunStarted)] == [0, *[calls] * len(sizes)]
    steps = [event.step for event in events if isinstance(event, Progress) and event.part == "train"]
    assert steps == list(range(1, 13)), "no step twice, none left out"
    assert [event.kind for event in events].count("run_ended") == 1
    if not calls:
        again = ("-c", folder / "config.toml", "--trust-code", "--output-dir", tmp_path / "b")
        assert run_cli("--no-tui", *again).code == 0
        assert final(folder) == final(tmp_path / "b"), "config.toml says what the batches became"


def test_weights_that_are_half_updated_are_not_saved(tmp_path: Path, make_job: Callable[..., Any]) -> None:
    job = make_job(checkpoints=tmp_path)
    update, steps = job.precision.step, []

    def runs_out(*given: Any, **named: Any) -> Any:
        steps.append(update(*given, **named))
        if len(steps) == 9:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    job.precision.step = runs_out
    with pytest.raises(torch.OutOfMemoryError):
        list(train(job))
    assert list(keep_what_is_whole(job)) == []
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == ["step-6"]


def test_smaller_batches_make_the_same_steps() -> None:
    def smaller(least: int = 1, **values: Any) -> tuple[int, int] | None:
        found = with_smaller_batches(Config().replace(**values), least)
        return found and (found.loader.batch_size, found.recipe.grad_accum_steps)

    assert smaller() == (16, 2)
    assert smaller(batch_size=16, grad_accum_steps=2) == (8, 4)
    assert smaller(batch_size=33) == (11, 3)
    assert smaller(batch_size=7) == (1, 7)
    assert smaller(2, batch_size=7) is None, "batch normalisation needs two"
    assert smaller(batch_size=1) is None
    assert smaller(batch_sampler="a.py:B") is None
