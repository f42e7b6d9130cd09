from pathlib import Path

import torch
from safetensors import safe_open

from tui_trainer.engine.job import NoCommands
from tui_trainer.engine.loop import train

from ..conftest import make_job


def test_a_state_goes_through_a_dict_of_what_torch_loads_safely(tmp_path: Path) -> None:
    job = make_job(lr=0.2, patience=4, checkpoint_extra={"torch": "x", "config": {"mean": [0.5]}})
    list(train(job))
    torch.save(job.to_dict(), tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    other = make_job()
    other.load_dict(saved)
    assert other.state == job.state
    assert saved["live"] == {"lr": 0.2, "epochs": 3, "patience": 4}
    assert saved["config"] == {"mean": [0.5]}
    assert saved["classes"] == ["a", "b", "c"]
    for one, two in zip(job.optimizer.state.values(), other.optimizer.state.values(), strict=True):
        assert torch.equal(one["momentum_buffer"], two["momentum_buffer"])


def test_the_state_of_the_generator_is_restored() -> None:
    job = make_job()
    torch.manual_seed(77)
    saved = job.to_dict()
    wanted = torch.rand(3)
    torch.manual_seed(0)
    make_job().load_dict(saved)
    assert torch.equal(torch.rand(3), wanted)


def test_weights_carry_what_a_prediction_needs_and_where_they_come_from(tmp_path: Path) -> None:
    job = make_job(epochs=2, checkpoints=tmp_path, weights_metadata={"classes": '["a"]'})
    list(train(job))
    with safe_open(tmp_path / "final.safetensors", "pt") as file:
        assert file.metadata() == {"classes": '["a"]', "step": "12", "epoch": "2"}


def test_without_a_folder_nothing_is_saved_and_the_run_is_the_same(tmp_path: Path) -> None:
    torch.manual_seed(3)
    with_folder = make_job(checkpoints=tmp_path)
    list(train(with_folder))
    torch.manual_seed(3)
    without = make_job()
    list(train(without))
    for one, two in zip(with_folder.model.parameters(), without.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_nobody_steers_by_default() -> None:
    assert NoCommands().take() == []
    NoCommands().wait(3600.0)
