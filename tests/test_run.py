import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open

from tui_trainer import recorders
from tui_trainer.config import Config, read_toml
from tui_trainer.errors import ConfigError, DataError, TrainingError, WeightsError
from tui_trainer.events import Event, RunEnded, SettingChanged, Warned
from tui_trainer.failures import in_words
from tui_trainer.repeating import repeatable
from tui_trainer.run import prepare
from tui_trainer.run_folder import Mailbox, RunFolder

from .conftest import DIGITS, Told, kinds, lines_but_times, metrics_but_seconds

Cli = Callable[..., Told]
OWN = Path(__file__).parent / "data" / "own_code.py"
SMALL = ("--no-tui", "--epochs", "2", "-b", "8", "--json")


def final(folder: Path) -> bytes:
    return (folder / "checkpoints" / "final.safetensors").read_bytes()


def config_for(data: Path, folder: Path, **values: object) -> Config:
    given = {"data": str(data), "output_dir": str(folder), "epochs": 2, "batch_size": 8, **values}
    return Config().replace(**given)  # type: ignore[arg-type]


# The folder of a run --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(digits60: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[Event]]:
    """A run of two epochs, and what it said."""
    made = prepare(config_for(digits60, tmp_path_factory.mktemp("runs") / "first", augment="light"))
    return made.folder, list(made.events(Mailbox()))


def test_how_threads_wait_is_looked_after_while_a_run_trains(
    digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []

    class Watched:
        def __init__(self, threads: int) -> None:
            told.append(threads)

        def __enter__(self) -> None:
            told.append("begun")

        def __exit__(self, *error: object) -> None:
            told.append("over")

    monkeypatch.setattr("tui_trainer.running.Patience", Watched)
    for event in prepare(config_for(digits60, tmp_path / "run", epochs=1, threads=1)).events(Mailbox()):
        assert told == [1, "begun"], event
    assert told == [1, "begun", "over"]


def test_a_run_writes_the_files_of_the_design(first: tuple[RunFolder, list[Event]]) -> None:
    folder = first[0]
    files = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    assert files - {".lock"} == {
        "config.toml", "events.jsonl", "commands.jsonl", "metrics.csv", "split.csv", "checkpoints/best.safetensors",
        "checkpoints/final.safetensors", "checkpoints/step-6.json", "checkpoints/step-6.pt", "checkpoints/step-12.json",
        "checkpoints/step-12.pt",
    }  # fmt: skip
    for path in (folder.path, folder.checkpoints):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_what_is_handed_on_is_what_is_recorded(first: tuple[RunFolder, list[Event]]) -> None:
    folder, events = first
    assert list(folder.read_events()) == events
    assert kinds(events)[-1] == "run_ended"


def test_no_auto_is_left_and_each_is_told_with_its_reason(first: tuple[RunFolder, list[Event]]) -> None:
    folder, events = first
    values = read_toml(folder.config)
    told = {event.name: (event.value, event.reason) for event in events if isinstance(event, SettingChanged)}
    assert (values["image_size"], values["channels"], values["normalize"]) == (32, 1, "measured")
    assert (values["log_every"], values["threads"]) == (1, torch.get_num_threads())
    assert told["channels"] == ("1", "grey images")
    assert told["image_size"] == ("32", "what lenet is made for")
    assert told["mean"][1] == told["std"][1] == "measured on 48 training images"
    assert set(told) == {
        "task",
        "model",
        "monitor",
        "cache",
        "image_size",
        "channels",
        "normalize",
        "mean",
        "std",
        "log_every",
        "threads",
        "channels_last",
    }
    assert {name for name, value in values.items() if value is None} == {
        "header",
        "pin_memory",
        "prefetch_factor",
        "step_size",
        "steps_per_epoch",
        "stream",
        "timeout",
        "cache_limit",
        "gamma",
        "amp_dtype",
    }, "used by nothing here"


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_cache_changes_no_number(
    cache: str, first: tuple[RunFolder, list[Event]], digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = prepare(config_for(digits60, tmp_path / "run", augment="light", cache=cache))
    list(made.events(Mailbox()))
    assert final(made.folder.path) == final(first[0].path)
    assert (tmp_path / "tui-trainer" / "images").exists() == (cache == "disk")


def test_a_value_that_is_given_is_never_overridden(digits60: Path, tmp_path: Path) -> None:
    given = {
        "image_size": 32,
        "channels": 3,
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "log_every": 3,
        "threads": 1,
        "task": "classification",
        "model": "lenet",
        "monitor": "val_loss",
        "cache": "off",
        "channels_last": False,
    }
    made = prepare(config_for(digits60, tmp_path / "run", **given))
    made.lock.release()
    assert {name: made.config.values()[name] for name in given} == given
    assert not any(isinstance(event, SettingChanged) for event in made.news)


def test_weights_hold_classes_and_preprocessing(first: tuple[RunFolder, list[Event]]) -> None:
    folder = first[0]
    values = read_toml(folder.config)
    for name in ("best", "final"):
        with safe_open(folder.checkpoints / f"{name}.safetensors", "pt") as file:
            metadata = file.metadata()
            assert file.get_tensor("conv1.weight").shape == (6, 1, 3, 3)
        assert metadata["model"] == "lenet"
        assert json.loads(metadata["classes"]) == ["0", "1", "2"]
        assert json.loads(metadata["preprocessing"]) == {
            "image_size": 32, "channels": 1, "resize": "squash",
            "mean": list(values["mean"]), "std": list(values["std"]),  # type: ignore[arg-type]
            "resampler": "torch-bilinear-antialias", "max_megapixels": 100.0,
        }  # fmt: skip


def test_the_configuration_repeats_the_run_from_anywhere(first: tuple[RunFolder, list[Event]], digits60: Path) -> None:
    values = read_toml(first[0].config)
    assert values["data"] == str(digits60)
    assert (values["output_dir"], values["name"], values["resume"]) == ("", "", "")


def test_relative_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/x")
    data = repeatable(Config().replace(data="d", val_data="~/v", name="n")).data
    assert (data.data, data.val_data) == (str(tmp_path / "d"), "/home/x/v")


# Bar 4 and 5: the same again ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def augmented(colour24: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, RunFolder]:
    config = config_for(
        colour24, tmp_path_factory.mktemp("runs") / "0", augment="standard", image_size=32, batch_size=5
    )
    made = prepare(config)
    list(made.events(Mailbox()))
    return config, made.folder


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_two_runs_are_the_same_for_any_number_of_workers(
    augmented: tuple[Config, RunFolder], tmp_path: Path, workers: int
) -> None:
    config, one = augmented
    torch.manual_seed(12345)
    made = prepare(config.replace(num_workers=workers, output_dir=str(tmp_path / "run")))
    list(made.events(Mailbox()))
    assert lines_but_times(made.folder.events) == lines_but_times(one.events)
    assert metrics_but_seconds(made.folder.metrics) == metrics_but_seconds(one.metrics)
    assert final(made.folder.path) == final(one.path)
    assert made.folder.split.read_bytes() == one.split.read_bytes()


@pytest.mark.parametrize("change", [{"seed": 1}, {"augment": "none"}, {"shuffle": False}, {"lr": 0.02}])
def test_what_matters_changes_the_run(
    augmented: tuple[Config, RunFolder], tmp_path: Path, change: dict[str, object]
) -> None:
    config, one = augmented
    made = prepare(config.replace(output_dir=str(tmp_path / "run"), **change))  # type: ignore[arg-type]
    list(made.events(Mailbox()))
    assert final(made.folder.path) != final(one.path)


def test_the_configuration_of_a_run_repeats_it_exactly(run_cli: Cli, colour24: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    words = ("--augment", "standard", "--image-size", "32", "--lr-scheduler", "cosine", "--seed", "7")
    assert run_cli(*SMALL, colour24, *words, "--threads", "2", "--output-dir", one).code == 0
    torch.set_num_threads(1)
    again = run_cli("--no-tui", "-c", one / "config.toml", "--output-dir", two)
    torch.set_num_threads(1)
    assert again.code == 0
    assert final(two) == final(one)
    assert (two / "config.toml").read_text() == (one / "config.toml").read_text()
    assert metrics_but_seconds(two / "metrics.csv") == metrics_but_seconds(one / "metrics.csv")
    records = [
        [record for record in lines_but_times(path / "events.jsonl") if record["kind"] != "setting_changed"]
        for path in (one, two)
    ]
    assert records[0] == records[1]


@pytest.mark.parametrize("model", ["squeezenet1_1", "mobilenet_v3_small"])
def test_a_model_of_torchvision_trains(run_cli: Cli, digits60: Path, tmp_path: Path, model: str) -> None:
    words = ("--model", model, "--image-size", "32", "--epochs", "1", "-b", "16", "--output-dir", tmp_path / "run")
    told = run_cli("--no-tui", "--json", digits60, *words)
    assert told.code == 0, told.err
    assert told.json["steps"] == 3
    assert torch.isfinite(torch.tensor(told.json["metrics"]["val_loss"]))


def test_the_handwritten_digits_are_learned(run_cli: Cli, tmp_path: Path) -> None:
    """Five of the twenty epochs: 90.5 to 94.7 % over five seeds, 93.6 % with this one."""
    told = run_cli("--no-tui", "--json", DIGITS, "--epochs", "5", "--output-dir", tmp_path / "run")
    assert told.code == 0
    assert told.json["metrics"]["val_top1"] >= 0.88
    assert told.json["steps"] == 5 * 45


# What goes wrong ------------------------------------------------------------------------------------------------------


def refused(config: Config, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        prepare(config)
    assert not Path(config.run.output_dir).exists()


def test_what_cannot_be_trained_is_refused_before_the_folder_is_made(digits60: Path, tmp_path: Path) -> None:
    config = config_for(digits60, tmp_path / "run")
    refused(config.replace(image_size=9), ConfigError, "lenet cannot take images of 9x9 .* use --image-size 32")
    refused(config.replace(model="resnet81"), ConfigError, "Unknown model resnet81; did you mean resnet18")
    refused(config.replace(device="cuda:77"), ConfigError, "device = cuda:77: there is no such device here")
    refused(config.replace(device="meta"), ConfigError, "device = meta: there is no such device here")
    refused(config.replace(normalize="imagenet"), ConfigError, "statistics are of colour images")
    refused(config.replace(drop_last=True, batch_size=100), DataError, "fewer than batch_size 100")
    refused(config.replace(data=str(tmp_path / "none")), DataError, "does not exist")


def test_two_processes_cannot_train_in_one_folder(digits60: Path, tmp_path: Path) -> None:
    config = config_for(digits60, tmp_path / "run")
    made = prepare(config)
    (made.folder.config).unlink()  # as if both had looked before either had written
    with pytest.raises(ConfigError, match=rf"Process {os.getpid()} on .* is training in .*: wait for it, or stop it"):
        prepare(config)
    list(made.events(Mailbox()))
    assert not made.folder.owner.exists()
    prepare(config_for(digits60, tmp_path / "other")).lock.release()


def test_a_disk_that_refuses_is_told_and_the_run_goes_on_to_an_end_in_words(digits60: Path, tmp_path: Path) -> None:
    made = prepare(config_for(digits60, tmp_path / "run"))
    events: list[Event] = []

    def train_without_the_folder() -> None:
        for event in made.events(Mailbox()):
            events.append(event)
            if event.kind == "evaluated" and made.folder.checkpoints.exists():
                made.folder.checkpoints.rename(tmp_path / "away")

    with pytest.raises(TrainingError, match=r"Cannot write .*checkpoints.*--resume goes on once that is mended"):
        train_without_the_folder()
    told = [event.message for event in events if isinstance(event, Warned)]
    assert len(told) == 1
    assert "There is no checkpoint yet; training goes on, and saving is tried again." in told[0]
    assert kinds(events).count("evaluated") == 2
    assert isinstance(events[-1], RunEnded)
    assert (events[-1].outcome, events[-1].error) == ("failed", "training")
    assert list(made.folder.read_events())[-1] == events[-1]


def test_a_recorder_that_cannot_write_is_told_once_and_the_run_goes_on(
    digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, path: Path) -> None:
            self.path = path

        def __call__(self, event: Event) -> None:
            if event.kind == "evaluated":
                raise OSError(28, "No space left on device", str(self.path))

        def close(self) -> None:
            pass

    monkeypatch.setattr(recorders, "MetricsCsv", Full)
    made = prepare(config_for(digits60, tmp_path / "run", epochs=3))
    events = list(made.events(Mailbox()))
    told = [event.message for event in events if isinstance(event, Warned)]
    assert len(told) == 1
    assert "metrics.csv: No space left on device. Training goes on; what is recorded waits for room." in told[0]
    assert vars(events[-1])["outcome"] == "finished"


@pytest.mark.parametrize(
    ("data", "advice"), [("", "--shm-size, or use --worker-type thread."), (f"{OWN}:Numbers", "larger --shm-size.")]
)
def test_too_little_shared_memory_is_found_before_the_run(
    digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, advice: str
) -> None:
    small, real = SimpleNamespace(f_bavail=0, f_frsize=4096, f_blocks=9, f_bfree=0), os.statvfs
    monkeypatch.setattr("os.statvfs", lambda folder: small if folder == "/dev/shm" else real(folder))
    values = {"num_workers": 2, "worker_type": "process", "multiprocessing_context": "fork", "trust_code": True}
    config = config_for(Path(data) if data else digits60, tmp_path / "run", **values)
    with pytest.raises(ConfigError, match="and a worker would end with a bus error") as refused:
        prepare(config)
    assert str(refused.value).endswith(advice)
    assert not (tmp_path / "run").exists()
    small.f_bavail = 100
    prepare(config).lock.release()


def test_errors_in_words() -> None:
    config = Config().replace(batch_size=64)
    with pytest.raises(RuntimeError) as memory:
        torch.empty(1 << 50)
    for error in (memory.value, torch.OutOfMemoryError("CUDA out of memory"), MemoryError()):
        words = in_words(error, config)
        assert isinstance(words, TrainingError)
        assert "--batch-size 32" in str(words)
    known = WeightsError("x")
    assert in_words(known, config) is known
    assert in_words(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), config) is None
    assert in_words(KeyError("x"), config) is None
