from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui_trainer import config
from tui_trainer.config import SETTINGS, Config, build, read_toml, resolve, to_toml
from tui_trainer.errors import ConfigError

from .test_settings import values_of

VALUES = st.fixed_dictionaries({}, optional={name: values_of(item) for name, item in SETTINGS.items()})


def made_to_go_together(values: dict[str, Any]) -> Config:
    """What does not go together is left out or completed."""
    values.pop("std", None)
    if mean := values.get("mean"):
        values["std"] = (0.25,) * len(mean)
    for name in (
        "class_weights",
        "adapters",
        "trust_code",
        "checkpoint_every",
        "keep_every",
        "optimizer_args",
        *("sampler", "batch_sampler", "collate_fn", "worker_init_fn", "multiprocessing_context"),
    ):  # words of a list; for the command line alone
        values.pop(name, None)
    if not values.get("freeze"):
        values.pop("freeze_epochs", None)
    if values.get("cache") == "off":
        values |= {"cache_limit": None, "cache_shrink": False}
    values.pop("loss", None)
    values["milestones"] = (1.5, 3.0) if values.get("lr_scheduler") == "multistep" else ()
    if not values.get("num_workers"):
        values |= {"timeout": None, "prefetch_factor": None}
    return build(values)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50)
@given(VALUES.map(made_to_go_together))
def test_any_configuration_is_read_back_from_its_file(tmp_path: Path, made: Config) -> None:
    file = tmp_path / "config.toml"
    file.write_text(to_toml(made), "utf-8")
    assert resolve({}, file).config == made
    file.write_text(to_toml(made, dict.fromkeys(SETTINGS, "default")), "utf-8")
    assert build(read_toml(file)) == made


def test_a_file_cannot_vouch_for_code(tmp_path: Path) -> None:
    assert "give --trust-code yourself" in refused(tmp_path, "[run]\ntrust_code = true\n")
    assert resolve({"trust_code": True}).config.run.trust_code


def test_what_the_model_s_settings_refuse() -> None:
    for values, said in (({"adapters": ("first",)}, "adapters = first"), ({"freeze_epochs": 2}, "say which layers")):
        with pytest.raises(ConfigError, match=said):
            build(values)  # type: ignore[arg-type]


def test_another_weight_file_has_another_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[model]\npretrained = "a.pth"\npretrained_fingerprint = "00"\n', "utf-8")
    assert resolve({}, file).config.model.pretrained_fingerprint == "00"
    assert resolve({"pretrained": "b.pth"}, file).config.model.pretrained_fingerprint == ""


def test_what_was_measured_on_other_samples_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    path = tmp_path / "config.toml"
    path.write_text(
        '[data]\ndata = "/a"\nchannels = 1\nnormalize = "measured"\nmean = [0.5]\nstd = [0.25]\n', encoding="utf-8"
    )
    assert config.resolve({}, path).config.data.mean == (0.5,)
    assert config.resolve({"data": "/a", "epochs": 3}, path).config.data.mean == (0.5,)
    assert config.resolve({"data": "a"}, path).config.data.mean == (0.5,)
    for flags in ({"data": "/b"}, {"channels": 3}, {"val_fraction": 0.5}):
        data = config.resolve(flags, path).config.data
        assert (data.mean, data.std, data.normalize) == ((), (), "measured")
    given = config.resolve({"data": "/b", "mean": (0.1,), "std": (0.2,)}, path).config.data
    assert (given.mean, given.std) == ((0.1,), (0.2,))
    path.write_text('[data]\ndata = "/a"\nmean = [0.5]\nstd = [0.25]\n', encoding="utf-8")  # as a person wrote it
    assert config.resolve({"data": "/b"}, path).config.data.mean == (0.5,)


def test_the_defaults_are_those_of_the_tutorial() -> None:
    values = Config().values()
    wanted = {
        "batch_size": 32, "shuffle": True, "num_workers": 0, "model": "auto", "optimizer": "sgd", "lr": 0.01,
        "momentum": 0.9, "weight_decay": 5e-4, "drop_last": False, "label_smoothing": 0.0,
    }  # fmt: skip
    assert {name: values[name] for name in wanted} == wanted


def test_a_flag_beats_the_file_which_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[recipe]\nepochs = 7\nlr = 0.5\n", "utf-8")
    resolved = resolve({"epochs": 3}, file)
    assert (resolved.config.recipe.epochs, resolved.config.recipe.lr, resolved.config.recipe.seed) == (3, 0.5, 0)
    origins = {name: resolved.origins[name] for name in ("epochs", "lr", "seed")}
    assert origins == {"epochs": "--epochs", "lr": "my.toml", "seed": "default"}


def refused(tmp_path: Path, text: str | bytes) -> str:
    file = tmp_path / "bad.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_toml(file)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "bad.toml" in sentence
    return sentence


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("[recipe]\nlearning_rate = 1\n", "unknown key learning_rate in [recipe]."),
        ("[recipe]\nepoch = 1\n", "unknown key epoch in [recipe]; did you mean epochs?"),
        ("[recipes]\nlr = 1\n", "unknown table [recipes]; did you mean recipe?"),
        ("[nothing]\n", "unknown table [nothing]."),
        ("[recipe]\nbatch_size = 1\n", "unknown key batch_size in [recipe]; it belongs into [loader]."),
        ("batch_size = 1\n", "unknown table [batch_size]; batch_size belongs into [loader]."),
        ("recipe = 5\n", "recipe must be a table; write [recipe] and its settings below it."),
        ("[recipe]\nlr = true\n", "lr must be a number, greater than 0 and at most 1,000."),
        ('[recipe]\nlr = "0.1"\n', "lr must be a number, greater than 0 and at most 1,000."),
        ("[recipe]\nlr = nan\n", "lr must be a number, greater than 0 and at most 1,000."),
        (f"[recipe]\nlr = 1{'0' * 400}\n", "lr must be a number, greater than 0 and at most 1,000."),
        ("[recipe]\nepochs = 1.0\n", "epochs must be a whole number, at least 1 and at most 1,000,000."),
        ("[recipe]\nepochs = 2020-01-01\n", "epochs must be a whole number, at least 1 and at most 1,000,000."),
        ("[recipe.dee]\nlr = 1\n", "unknown key dee in [recipe]; did you mean device?"),
        ("[data]\nmean = [1, 'a']\n", "mean must be a list of numbers."),
        ('"\\u001b[31m" = 1\n', "unknown table [\\x1b[31m]."),
    ],
)
def test_a_file_with_a_wrong_key_or_value_is_refused(tmp_path: Path, text: str, end: str) -> None:
    assert refused(tmp_path, text).endswith(end)


@pytest.mark.parametrize("text", ["[recipe]\nlr = \n", "[recipe]\nlr = 1\nlr = 2\n", "[recipe\nlr=1\n"])
def test_a_syntax_error_is_told_with_its_line(tmp_path: Path, text: str) -> None:
    assert "not valid TOML" in refused(tmp_path, text)
    assert "line" in refused(tmp_path, text)


def test_files_that_are_no_configuration_at_all(tmp_path: Path) -> None:
    assert "not valid TOML" in refused(tmp_path, b"\xff\xfe\x00")
    assert "not valid TOML" in refused(tmp_path, "a = " + "[" * 5000)
    assert "larger than 64 KB" in refused(tmp_path, "#" * 70_000)
    for path in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(ConfigError, match="Cannot read the configuration"):
            read_toml(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mean": (0.5,)}, "mean has 1 numbers and std 0"),
        ({"mean": (0.5,), "std": (0.0,)}, "each must be greater than 0"),
        ({"prefetch_factor": 2}, "set num_workers to 1 or more"),
        ({"timeout": 2.0}, "set num_workers to 1 or more"),
    ],
)
def test_settings_that_do_not_go_together(values: dict[str, config.Value], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(values)


def test_replace_changes_only_what_is_named_and_checks_it() -> None:
    changed = Config().replace(lr=0.5, num_workers=2)
    assert changed.recipe.lr == 0.5
    assert {n for n, v in changed.values().items() if v != Config().values()[n]} == {"lr", "num_workers"}
    with pytest.raises(ConfigError, match="lr must be"):
        Config().replace(lr=-1.0)


def test_every_setting_has_a_name_of_its_own() -> None:
    names = [s.name for s in SETTINGS.values()] + [a.replace("-", "_") for s in SETTINGS.values() for a in s.aliases]
    shorts = [s.short for s in SETTINGS.values() if s.short]
    assert len(set(names)) == len(names)
    assert len(set(shorts)) == len(shorts)
    assert sum(len(config.settings_of(table, cls)) for table, cls in config.TABLES.items()) == len(SETTINGS)
