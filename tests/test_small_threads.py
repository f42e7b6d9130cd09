"""When a small network takes two threads."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tui_trainer import auto, idle, small_threads
from tui_trainer.bench import Bench
from tui_trainer.config import Config, read_toml
from tui_trainer.idle import Moment
from tui_trainer.models import catalog
from tui_trainer.run import prepare
from tui_trainer.run_folder import Mailbox
from tui_trainer.small_threads import multiplications, threads_of_small

from .conftest import Told

SINCE = Moment(wall=0.0, idle=0.0, own=0.0)
CPU, SHAPE = torch.device("cpu"), (3, 32, 32)


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float | None], None]]:
    """An idle machine of two processors, until it is called with another number that are free."""

    def be(processors: float | None) -> None:
        monkeypatch.setattr(small_threads, "free_since", lambda since: processors)

    monkeypatch.setattr(small_threads, "DEFAULT_THREADS", 2)
    monkeypatch.setattr(small_threads, "allowed", lambda: float("inf"))
    be(2.0)
    yield be
    torch.set_num_threads(1)


def lenet() -> nn.Module:
    return catalog.build("lenet", num_classes=10, channels=3, image_size=32, args=())


def chosen(
    model: nn.Module | None = None, device: torch.device = CPU, since: Moment | None = SINCE, **values: Any
) -> tuple[int, str]:
    return threads_of_small(Config().replace(**values), model or lenet(), SHAPE, device, since)


def test_two_on_an_idle_machine() -> None:
    assert chosen() == (2, "a small network, and the machine is idle")


@pytest.mark.parametrize(("processors", "threads"), [(0.1, 1), (1.0, 1), (1.79, 1), (1.8, 2), (7.5, 2)])
def test_one_beside_other_programs(free: Callable[[float], None], processors: float, threads: int) -> None:
    free(processors)
    assert chosen()[0] == threads
    if threads == 1:
        assert chosen()[1] == "a small network, and other programs are at work"


@pytest.mark.parametrize(("processors", "workers", "threads"), [(2.0, 1, 1), (2.8, 1, 2), (3.7, 2, 1), (3.8, 2, 2)])
def test_workers_want_processors_too(
    free: Callable[[float], None], processors: float, workers: int, threads: int
) -> None:
    free(processors)
    count, why = chosen(num_workers=workers)
    assert count == threads
    assert ("workers need the processors" in why) == (threads == 1)


@pytest.mark.parametrize("values", [{"deterministic": True}, {"nproc": 2}])
def test_one_where_it_is_not_asked(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_threads, "free_since", lambda since: pytest.fail("looked"))
    assert chosen(**values) == (1, "a small network")
    assert chosen(device=torch.device("meta")) == (1, "a small network")
    assert chosen(since=None) == (1, "a small network")


def test_never_more_than_torch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_threads, "DEFAULT_THREADS", 1)
    assert chosen() == (1, "a small network")
    monkeypatch.setattr(small_threads, "DEFAULT_THREADS", 64)
    assert chosen()[0] == 2


def test_a_container_that_may_use_less_than_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_threads, "allowed", lambda: 1.5)
    assert chosen() == (1, "a small network, and less than two processors may be used")


def test_a_container_that_may_use_two_of_many_has_none_for_workers_beside(
    free: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    free(60.0)
    monkeypatch.setattr(small_threads, "allowed", lambda: 2.0)
    assert chosen()[0] == 2
    assert chosen(num_workers=1) == (1, "a small network, and workers need the processors too")


def test_a_system_that_does_not_tell(free: Callable[[None], None]) -> None:
    free(None)
    assert chosen() == (1, "a small network")


@pytest.mark.parametrize(("model", "batch", "threads"), [("lenet", 32, 2), ("lenet", 8, 1), ("mlp", 32, 1)])
def test_short_steps_have_one(model: str, batch: int, threads: int) -> None:
    network = lenet() if model == "lenet" else nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 100))
    assert chosen(network, batch_size=batch)[0] == threads


def test_multiplications_are_those_of_convolutions() -> None:
    one, two = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
    model = nn.Sequential(one, nn.BatchNorm2d(8), two, nn.Flatten(), nn.Linear(8192, 2))
    assert multiplications(model, SHAPE) == (32 * 32 * 8 * 27 + 32 * 32 * 8 * 9) / 2
    assert multiplications(nn.Linear(4, 2), (4,)) == 0.0


def test_counting_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(), nn.Flatten())
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    multiplications(model, SHAPE)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training and not module._forward_hooks for module in model.modules())


def test_a_model_that_does_not_take_one_input() -> None:
    assert multiplications(nn.Conv2d(4, 8, 3), SHAPE) == 0.0


Cli = Callable[..., Told]


def test_a_run_tells_its_threads_and_one_that_is_resumed_has_them_again(
    digits60: Path, tmp_path: Path, free: Callable[[float], None], run_cli: Cli
) -> None:
    folder = tmp_path / "run"
    words = ("--no-tui", digits60, "--epochs", 2, "-b", 32, "--output-dir", folder)
    told = run_cli(*words)
    assert (told.code, torch.get_num_threads()) == (0, 2)
    assert "threads = 2 (a small network, and the machine is idle)" in told.err
    assert read_toml(folder / "config.toml")["threads"] == 2
    shutil.copytree(folder, tmp_path / "bare")
    config = tmp_path / "bare" / "config.toml"
    config.write_text("".join(line for line in config.read_text().splitlines(True) if not line.startswith("threads")))
    free(1.0)
    for again in (folder, tmp_path / "bare"):
        torch.set_num_threads(1)
        told = run_cli("--no-tui", "--resume", again, "--epochs", 3)
        assert (told.code, torch.get_num_threads()) == (0, 2)
        assert "Not bit-exact" not in told.err
        assert read_toml(again / "config.toml")["threads"] == 2
    final = "checkpoints/final.safetensors"
    assert (folder / final).read_bytes() == (tmp_path / "bare" / final).read_bytes()
    told = run_cli("--no-tui", digits60, "--epochs", 1, "-b", 32, "--output-dir", tmp_path / "other")
    assert "threads = 1 (a small network, and other programs are at work)" in told.err
    assert read_toml(tmp_path / "other" / "config.toml")["threads"] == 1


def test_a_number_that_is_given_stays(digits60: Path, tmp_path: Path) -> None:
    config = Config().replace(data=str(digits60), output_dir=str(tmp_path / "run"), epochs=1, threads=1)
    made = prepare(config, since=idle.now())
    list(made.events(Mailbox()))
    assert (made.config.recipe.threads, torch.get_num_threads()) == (1, 1)


def test_a_model_that_is_only_measured_computes_alike(digits60: Path, free: Callable[[float], None]) -> None:
    bench = Bench(Config().replace(data=str(digits60)))
    data = bench.data(0)
    bench.job(data)
    assert (bench.config.recipe.threads, torch.get_num_threads()) == (2, 2)
    free(1.0)
    bench.job(data)
    assert (bench.config.recipe.threads, torch.get_num_threads()) == (2, 2)


@pytest.mark.parametrize(("quota", "threads"), [(float("inf"), 64), (64.0, 64), (4.5, 4), (0.5, 1)])
def test_a_large_network_takes_no_more_than_its_container_may_use(
    monkeypatch: pytest.MonkeyPatch, quota: float, threads: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(small_threads, "DEFAULT_THREADS", 64)
    monkeypatch.setattr(small_threads, "allowed", lambda: quota)
    set_to: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    choices = auto.Choices(Config())
    auto.choose_threads(choices, nn.Linear(2000, 1000), SHAPE, CPU, SINCE)
    assert set_to == [threads]
    assert choices.config.recipe.threads == threads


def test_a_number_of_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(small_threads, "allowed", lambda: 1.0)
    assert small_threads.threads_of_large() == (2, "torch's choice")
