import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer.commands import Stop
from tui_trainer.config import Config, resolve
from tui_trainer.data.batches import Data, build_batches, scan, spec_of
from tui_trainer.data.index import TRAIN, VAL
from tui_trainer.data.loader import worker_context
from tui_trainer.engine.job import NoCommands
from tui_trainer.errors import ConfigError, DataError, TrainingError, UserError
from tui_trainer.events import Progress, RunEnded, RunStarted
from tui_trainer.run import prepare

from ..conftest import PATIENCE, Script, Told, metrics_but_seconds

CODE = Path(__file__).parent / "own_code.py"


def config_of(name: str, **values: Any) -> Config:
    return Config().replace(**{"data": f"{CODE}:{name}", "trust_code": True, "batch_size": 8, **values})


def built(name: str, **values: Any) -> Data:
    config = config_of(name, **values)
    index = scan(config)
    context = worker_context(config)
    return build_batches(config, index, spec_of(config.data, index), needs_two=False, context=context)


def read(data: Data, epoch: int = 0, start: int = 0) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
    return [(batch.number, batch.inputs, batch.targets) for batch in data.train.epoch(epoch, start)]


def same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        a[0] == b[0] and torch.equal(a[1], b[1]) and torch.equal(a[2], b[2]) for a, b in zip(one, other, strict=True)
    )


# Datasets -------------------------------------------------------------------------------------------------------------


def test_a_dataset_is_a_function_of_the_seed_even_if_it_draws_when_it_is_made() -> None:
    one, other = scan(config_of("Numbers")), scan(config_of("Numbers"))
    assert one.fingerprint() == other.fingerprint()
    assert one.fingerprint() != scan(config_of("Numbers", seed=1)).fingerprint()
    assert one.fingerprint() != scan(config_of("Numbers", data_args=("shift=1.5",))).fingerprint()
    assert (one.task, one.target_names, one.unit, one.outputs) == ("regression", ("target",), "samples", 1)
    assert (len(one.part(TRAIN)), len(one.part(VAL))) == (48, 12)
    assert len(scan(config_of("Numbers", data_args=("count=10",)))) == 10


def test_what_it_draws_for_an_item_has_an_address() -> None:
    data = built("Noisy")
    epoch = read(data, 1)
    assert same(read(data, 1), epoch)
    assert same(read(data, 1, start=2), epoch[2:])
    assert not same(read(data, 2), epoch)
    before = torch.get_rng_state()
    read(data, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_worker_processes_give_the_same_batches() -> None:
    alone, workers = built("Noisy"), built("Noisy", num_workers=2)
    for epoch in (0, 1):
        assert same(read(workers, epoch), read(alone, epoch))
    assert same(read(workers, 1, start=3), read(alone, 1)[3:])


def test_classes_come_from_the_dataset_or_are_numbers() -> None:
    assert scan(config_of("Noisy")).classes == ("often", "rare")
    index = scan(config_of("Pictures"))
    assert (index.classes, index.task) == (("0", "1", "2"), "classification")
    assert index.counts(VAL) == [2, 2, 2]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("not_pairs", r"item 0 is a dict of 2: it must be \(input, target\)"),
        ("pil_images", "the input of item 0 is a Image: give a tensor, such as torchvision.transforms.ToTensor"),
        ("texts", "the target of item 0 is the str 'cat': give a tensor"),
        ("nothing", "gives the int 7: a dataset has __getitem__ and __len__"),
        ("Numbrs", "has no Numbrs; did you mean Numbers?"),
    ],
)
def test_what_is_no_dataset_is_refused_with_what_came_back(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        scan(config_of(name))


def test_arguments_that_it_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot be made: TypeError: .*colour"):
        scan(config_of("Numbers", data_args=("colour=1",)))


def test_the_code_of_others_does_not_run_unasked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="is code from outside the current folder"):
        scan(config_of("Numbers", trust_code=False))


def test_an_item_that_fails_is_told_of_and_left_out() -> None:
    data = built("Failing", max_bad=0.5)
    got = [*data.train.epoch(0), *data.val.epoch(0)]
    assert sum(len(batch.targets) for batch in got) == 59
    assert [text for batch in got for text in batch.warnings] == ["item 7 is left out: OSError: the disk is on fire."]


def test_a_dataset_of_its_own_is_the_validation_part() -> None:
    index = scan(config_of("Numbers", val_data=f"{CODE}:Failing"))
    assert (len(index.part(TRAIN)), len(index.part(VAL))) == (60, 60)


def test_what_prepares_images_does_not_go_with_it() -> None:
    with pytest.raises(ConfigError, match="Your own dataset prepares its inputs"):
        built("Pictures", augment="light")


# Streams --------------------------------------------------------------------------------------------------------------


def test_a_stream_gives_so_many_batches_and_is_entered_at_any() -> None:
    data = built("Stream", val_data=f"{CODE}:Stream", steps_per_epoch=5)
    epoch = read(data, 1)
    assert [number for number, *_ in epoch] == [1, 2, 3, 4, 5]
    assert same(read(data, 1), epoch)
    assert same(read(data, 1, start=3), epoch[3:])
    assert not same(read(data, 2), epoch)
    assert (data.train.batches, data.train.samples) == (5, 40)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_that_ends_has_each_sample_once(workers: int) -> None:
    data = built("ShortStream", val_data=f"{CODE}:ShortStream", steps_per_epoch=50, num_workers=workers, batch_size=3)
    for epoch in (0, 1):
        seen = torch.cat([inputs[:, 0] for _, inputs, _ in read(data, epoch)])
        assert sorted(seen.tolist()) == list(range(20))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "is a stream, of which no part can be held out: name another one with --val-data"),
        ({"val_data": f"{CODE}:Stream", "steps_per_epoch": 2, "sampler": "weighted"}, "A stream gives its own order"),
        ({"val_data": f"{CODE}:Numbers", "steps_per_epoch": 2}, "must both have items by number, or both be streams"),
    ],
)
def test_what_a_stream_needs_is_said(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        built("Stream", **values)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_may_end_with_the_stream(workers: int) -> None:
    data = built("ShortStream", val_data=f"{CODE}:ShortStream", num_workers=workers, batch_size=3)
    assert (data.train.batches, data.train.samples) == (0, 0)
    for epoch in (0, 1):
        batches = read(data, epoch)
        assert sorted(torch.cat([inputs[:, 0] for _, inputs, _ in batches]).tolist()) == list(range(20))
        assert (data.train.batches, data.train.samples) == (len(batches), 20)
    assert same(read(data, 1, start=2), batches[2:])
    assert read(data, 1, start=len(batches)) == []
    assert (data.train.batches, data.train.samples) == (len(batches), 20)


def events_of(folder: Path, at: dict[str, Any], **values: Any) -> list[Any]:
    spec = f"{CODE}:ShortStream"
    given = {"val_data": spec, "batch_size": 3, "epochs": 3, "log_every": 2, "output_dir": str(folder), **values}
    return list(prepare(config_of("ShortStream", **given)).events(Script(**at)))


def test_an_unknown_length_is_said_and_then_known(tmp_path: Path) -> None:
    events = events_of(tmp_path / "run", {}, lr_scheduler="cosine", lr=0.1)
    said = [event for event in events if isinstance(event, Progress) and event.part == "train"]
    assert [(one.epoch, one.batch, one.batches) for one in said if one.epoch < 2] == [
        (0, 2, 0), (0, 4, 0), (0, 6, 0), (1, 1, 7), (1, 3, 7), (1, 5, 7), (1, 7, 7),
    ]  # fmt: skip
    assert [bool(one.eta_seconds) for one in said if one.epoch < 2] == [False] * 3 + [True] * 4
    rates = [one.lr for one in said]
    assert rates[:4] == [0.1] * 3 + [pytest.approx(0.075)]
    assert rates == sorted(rates, reverse=True)
    assert [one.steps_per_epoch for one in events if isinstance(one, RunStarted)] == [0]
    assert [one.step for one in events if isinstance(one, RunEnded)] == [21]


@pytest.mark.parametrize("step", [4, 7, 10])
def test_a_run_over_streams_that_end_goes_on_exactly(tmp_path: Path, step: int) -> None:
    values: dict[str, Any] = {"lr_scheduler": "linear", "num_workers": 0}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    events_of(whole, {}, **values)
    assert vars(events_of(cut, {f"at{step + 1}": [Stop()]}, **values)[-1])["outcome"] == "stopped"
    again = resolve({"resume": str(cut), "trust_code": True}, cut / "config.toml").config
    list(prepare(again).events(NoCommands()))
    finals = [(folder / "checkpoints" / "final.safetensors").read_bytes() for folder in (whole, cut)]
    assert finals[0] == finals[1]


def test_ranks_share_each_batch_of_a_stream_and_end_together() -> None:
    """One of them is given a stream that ends earlier, as one that is read live may be."""
    barrier, said, epochs = threading.Barrier(2), [False, False], list[list[tuple[int, list[float]]]]([[], []])

    def work(rank: int) -> None:
        def gathered(has_one: bool) -> list[bool]:
            said[rank] = has_one
            barrier.wait(PATIENCE)
            found = list(said)
            barrier.wait(PATIENCE)
            return found

        config = config_of("ShortStream", val_data=f"{CODE}:ShortStream", data_args=(f"count={20 - 5 * rank}",))
        index = scan(config)
        more: dict[str, Any] = {"rank": rank, "ranks": 2, "gathered": gathered}
        data = build_batches(config, index, spec_of(config.data, index), needs_two=False, context=None, **more)
        for batch in data.train.epoch(0):
            epochs[rank].append((batch.number, batch.inputs[:, 0].tolist() if len(batch.targets) else []))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert epochs[0] == [(1, [0, 2, 4, 6]), (2, [8, 10, 12, 14]), (3, [16, 18])]
    assert epochs[1] == [(1, [1, 3, 5, 7]), (2, [9, 11, 13]), (3, [])]


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("Once", {}, "Your stream gave no batch this time: its __iter__ must begin anew at each call"),
        ("ShortStream", {"warmup_epochs": 0.5}, "Nobody knows how long an epoch of this stream is"),
        ("ShortStream", {"lr_scheduler": "onecycle"}, "need --steps-per-epoch"),
    ],
)
def test_what_cannot_be_done_without_a_length_is_said(
    tmp_path: Path, name: str, values: dict[str, Any], sentence: str
) -> None:
    config = config_of(name, val_data=f"{CODE}:{name}", output_dir=str(tmp_path / "run"), **values)
    with pytest.raises(UserError, match=sentence):
        list(prepare(config).events(NoCommands()))


def test_a_part_of_a_stream_is_tested(run_cli: Callable[..., Told], tmp_path: Path) -> None:
    events_of(tmp_path / "run", {}, epochs=1)
    told = run_cli("test", tmp_path / "run", "--data", f"{CODE}:ShortStream", "--trust-code", "--json")
    assert told.json["samples"] == 20


# Options of the loader, each by its effect ----------------------------------------------------------------------------


def test_weights_bring_each_class_equally_often() -> None:
    data = built("Noisy", sampler="weighted")
    epochs = [torch.cat([targets for *_, targets in read(data, epoch)]) for epoch in range(20)]
    share = torch.cat(epochs).float().mean().item()
    assert 0.4 < share < 0.6  # of the rare class, one in ten
    assert all(len(epoch) == 32 for epoch in epochs)
    assert same(read(data, 3, start=2), read(data, 3)[2:])
    inputs = torch.cat([inputs for _, inputs, _ in read(data, 3)])
    rare = inputs[inputs[:, 3] == inputs[inputs[:, 3] % 10 == 0][0, 3]]
    assert len(rare) > 1
    assert len(rare[:, 0].unique()) == len(rare)  # a sample that comes again is changed in another way


def test_an_own_sampler_gives_the_order() -> None:
    plain = built("Numbers", shuffle=False)
    everything = torch.cat([inputs for _, inputs, _ in read(plain)])
    backwards = torch.cat([inputs for _, inputs, _ in read(built("Numbers", sampler=f"{CODE}:Backwards"))])
    assert torch.equal(backwards, everything.flip(0)[:24])
    drawn = built("Numbers", sampler=f"{CODE}:Drawn")
    assert same(read(drawn, 2), read(drawn, 2))
    assert same(read(drawn, 2, start=1), read(drawn, 2)[1:])
    assert not same(read(drawn, 3), read(drawn, 2))


def test_a_sampler_that_makes_no_order_is_refused() -> None:
    with pytest.raises(DataError, match="yields 48: a sampler yields numbers of training samples, 0 to 47"):
        built("Numbers", sampler=f"{CODE}:out_of_range")
    data = built("Numbers", sampler=f"{CODE}:shrinking")
    with pytest.raises(DataError, match="yields 47 samples in epoch 2 and 48 in the first"):
        read(data, 1)
    with pytest.raises(ConfigError, match="sampler = weighted balances classes"):
        built("Numbers", sampler="weighted")


@pytest.mark.parametrize("workers", [0, 1])
def test_own_batches_are_taken_as_they_are(workers: int) -> None:
    data = built("Numbers", batch_sampler=f"{CODE}:growing_batches", batch_size=32, num_workers=workers)
    epoch = read(data)
    assert [len(targets) for *_, targets in epoch] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 3]
    assert (data.train.batches, data.train.samples) == (10, 48)
    assert same(read(data, 0, start=4), epoch[4:])
    assert not same(read(data, 1), epoch)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_own_collate_function_makes_the_batch(workers: int) -> None:
    plain = read(built("Numbers"))
    made = read(built("Numbers", collate_fn=f"{CODE}:doubled", num_workers=workers))
    assert all(torch.equal(2 * a[1], b[1]) and torch.equal(a[2], b[2]) for a, b in zip(plain, made, strict=True))
    with pytest.raises(DataError, match=r"gives a dict of 1, not \(inputs, targets\) as tensors"):
        read(built("Numbers", collate_fn=f"{CODE}:no_batch"))


def test_an_own_collate_function_gets_images_too(digits60: Path) -> None:
    values: dict[str, Any] = {"image_size": 8, "channels": 1}
    config = config_of("", collate_fn=f"{CODE}:doubled", **values).replace(data=str(digits60))
    index = scan(config)
    data = build_batches(config, index, spec_of(config.data, index), needs_two=False, context=None)
    assert next(iter(read(data)))[1].max() > 255


@pytest.mark.parametrize("persistent", [True, False])
def test_an_own_function_is_called_in_each_worker(persistent: bool) -> None:
    values = {"num_workers": 2, "worker_init_fn": f"{CODE}:note_worker", "persistent_workers": persistent}
    data = built("Noted", **values)
    notes = [torch.cat([inputs for _, inputs, _ in read(data, epoch)]).unique(dim=0) for epoch in (0, 1)]
    for note in notes:
        assert note[:, 1:3].tolist() in ([[1, 0], [1, 1]], [[1, 1], [1, 0]])  # each worker once, with its number
    processes = {int(pid) for note in notes for pid in note[:, 0].tolist()}
    assert os.getpid() not in processes
    assert len(processes) == (2 if persistent else 4)  # workers are kept from epoch to epoch, or started anew


def test_workers_start_as_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from multiprocessing.context import ForkContext, ForkServerContext, SpawnContext

    for method, kind in (("auto", ForkServerContext), ("spawn", SpawnContext), ("fork", ForkContext)):
        assert isinstance(worker_context(config_of("Numbers", num_workers=1, multiprocessing_context=method)), kind)
    assert worker_context(config_of("Numbers")) is None
    assert worker_context(Config().replace(data="photos", num_workers=2)) is None  # threads
    assert worker_context(Config().replace(data="photos", num_workers=2, collate_fn="a:b")) is not None


def test_a_worker_that_takes_too_long_ends_the_run() -> None:
    data = built("Slow", num_workers=1, timeout=0.3)
    with pytest.raises(TrainingError, match=r"Batch 1 did not come within 0\.3 s, for the second time"):
        next(iter(data.train.epoch(0)))


@pytest.mark.parametrize("ahead", [1, 4])
def test_workers_read_so_many_batches_ahead(ahead: int, tmp_path: Path) -> None:
    values = {"num_workers": 1, "prefetch_factor": ahead, "batch_size": 4, "persistent_workers": False}
    data = built("Traced", data_args=(f"folder={tmp_path}",), **values)
    epoch = iter(data.train.epoch(0))
    next(epoch)
    deadline = time.monotonic() + PATIENCE
    while len(list(tmp_path.iterdir())) < 4 * (ahead + 1) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == 4 * (ahead + 1)  # the one that was taken, and those that lie ready
    assert str(os.getpid()) not in {path.name.partition("-")[2] for path in tmp_path.iterdir()}
    epoch.close()  # type: ignore[attr-defined]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory needs a GPU")
def test_memory_is_pinned() -> None:
    assert read(built("Numbers", pin_memory=True))[0][1].is_pinned()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sampler": "x"}, "sampler = x: give default, weighted or path/to/file.py:Name"),
        ({"collate_fn": "x"}, "collate_fn = x: give path/to/file.py:Name"),
        ({"sampler": "weighted", "batch_sampler": "a:b"}, "leave sampler at default"),
        ({"batch_sampler": "a:b", "batch_size": 8}, "leave out batch_size and drop_last"),
        ({"batch_sampler": "a:b", "drop_last": True}, "leave out batch_size and drop_last"),
        ({"worker_init_fn": "a:b"}, "worker_init_fn is of worker processes: set num_workers"),
        ({"multiprocessing_context": "spawn"}, "multiprocessing_context is of worker processes: set num_workers"),
        ({"collate_fn": "a:b", "num_workers": 1, "worker_type": "thread"}, "collate_fn needs worker processes"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_starts(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Config().replace(**values)


def test_a_sampler_and_shuffle_both_given_are_refused() -> None:
    with pytest.raises(ConfigError, match="shuffle and a sampler both give the order"):
        resolve({"shuffle": True, "sampler": "weighted"})
    assert resolve({"sampler": "weighted"}).config.loader.sampler == "weighted"


# From the command line ------------------------------------------------------------------------------------------------


def test_the_dataset_of_the_tutorial_trains_is_repeated_and_resumed(
    run_cli: Callable[..., Told], tmp_path: Path
) -> None:
    words = ("--no-tui", "--json", "--data", f"{CODE}:Numbers", "--data-args", "count=300", "--trust-code")
    words += ("--sampler", f"{CODE}:Drawn", "--epochs", "4")
    told = run_cli(*words, "--output-dir", tmp_path / "a")
    assert told.code == 0, told.err
    assert told.json["metrics"]["val_r2"] > 0.8
    assert "an item is a Tensor of 3 float32" in told.err
    again = run_cli(
        "--no-tui", "--json", "-c", tmp_path / "a" / "config.toml", "--trust-code", "--output-dir", tmp_path / "b"
    )
    assert again.json["metrics"] == told.json["metrics"]
    config = resolve({"trust_code": True, "output_dir": str(tmp_path / "cut")}, tmp_path / "a" / "config.toml").config
    list(prepare(config).events(Script(at13=[Stop()])))
    rest = run_cli("--no-tui", "--json", "--resume", tmp_path / "cut", "--trust-code")
    assert rest.json["metrics"] == told.json["metrics"]
    cut, whole = (metrics_but_seconds(tmp_path / name / "metrics.csv") for name in ("cut", "a"))
    assert cut == whole


def test_a_stream_trains_from_the_command_line(run_cli: Callable[..., Told], tmp_path: Path) -> None:
    spec = f"{CODE}:Stream"
    words = ("--data", spec, "--val-data", spec, "--steps-per-epoch", 40, "--epochs", 3, "--trust-code")
    told = run_cli("--no-tui", "--json", *words, "--output-dir", tmp_path / "run")
    assert told.code == 0, told.err
    assert told.json["steps"] == 120
    assert told.json["metrics"]["val_r2"] > 0.8


def test_an_own_dataset_is_reported_on(run_cli: Callable[..., Told]) -> None:
    told = run_cli("data", f"{CODE}:Noisy", "--trust-code", "--json")
    assert told.code == 0, told.err
    assert [one["name"] for one in told.json["classes"]] == ["often", "rare"]
