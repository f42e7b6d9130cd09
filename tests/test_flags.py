from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tui_trainer import flags
from tui_trainer.config import SETTINGS
from tui_trainer.errors import ConfigError
from tui_trainer.settings import Setting, Value

from .test_settings import SETTING_AND_VALUE


def words_for(item: Setting, value: Value) -> list[str]:
    if item.kind is bool and not item.optional:
        return [item.flag if value else item.flag.replace("--", "--no-", 1)]
    return [f"{item.flag}={item.to_text(value)}"]


@given(SETTING_AND_VALUE)
def test_every_setting_is_a_flag(pair: tuple[Setting, Value]) -> None:
    item, value = pair
    assert flags.parse(words_for(item, value)).values == {item.name: value}


@given(SETTING_AND_VALUE)
def test_a_flag_may_be_written_with_underscores(pair: tuple[Setting, Value]) -> None:
    item, value = pair
    assume(item.kind is not bool or item.optional)
    assert flags.parse([f"--{item.name}={item.to_text(value)}"]).values == {item.name: value}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["-b", "64", "-j2"], {"batch_size": 64, "num_workers": 2}),
        (["--imgsz", "64", "--workers", "3"], {"image_size": 64, "num_workers": 3}),
        (["--img_size", "64"], {"image_size": 64}),
        (["--opt", "adam", "--wd", "0"], {"optimizer": "adam", "weight_decay": 0.0}),
        (["--sched", "step"], {"lr_scheduler": "step"}),
        (["--no-shuffle"], {"shuffle": False}),
        (["--no_shuffle"], {"shuffle": False}),
        (["--pin-memory", "yes"], {"pin_memory": True}),
        (["--pin-memory", "auto"], {"pin_memory": None}),
        (["--channels-last", "some/dir"], {"channels_last": True, "data": "some/dir"}),
        (["some/dir", "--channels_last"], {"channels_last": True, "data": "some/dir"}),
        (["--no-channels-last", "some/dir"], {"channels_last": False, "data": "some/dir"}),
        (["--channels-last", "False", "some/dir"], {"channels_last": False, "data": "some/dir"}),
        (["--channels-last", "--epochs", "2"], {"channels_last": True, "epochs": 2}),
        (["--mean", "0.5, 0.25"], {"mean": (0.5, 0.25)}),
        (["--epochs", "1", "--epochs", "2"], {"epochs": 2}),
        (["some/dir"], {"data": "some/dir"}),
        (["--data", "x_y"], {"data": "x_y"}),
        (["--name=a_b=c"], {"name": "a_b=c"}),
        (["--data=--"], {"data": "--"}),
        (["--data=x=--"], {"data": "x=--"}),
        ([], {}),
    ],
)  # fmt: skip
def test_what_is_given_and_nothing_else_is_a_value(words: list[str], values: dict[str, Value]) -> None:
    assert flags.parse(words).values == values


def test_the_flags_of_the_front_end() -> None:
    found = flags.parse(["-c", "x.toml", "--no-tui", "--json", "--print-config", "dir"])
    assert (found.config, found.no_tui, found.json, found.print_config) == (Path("x.toml"), True, True, True)
    found = flags.parse(["--no_tui", "--print_config"])
    assert (found.config, found.no_tui, found.json, found.print_config) == (None, True, False, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--epoch", "3"], "Unknown flag --epoch; did you mean --epochs?"),
        (["--batchsize=3"], "Unknown flag --batchsize; did you mean --batch-size?"),
        (["--jsn"], "Unknown flag --jsn; did you mean --json?"),
        (["--qqqqqq"], "Unknown flag --qqqqqq."),
        (["--lear", "1"], "Unknown flag --lear"),
        (["-x"], "Unknown flag -x"),
        (["--\x1b[31m"], "Unknown flag --\\x1b[31m"),
        (["a", "b"], "Unexpected argument b: give one dataset folder; see tui-trainer --help."),
        (["a", "--data", "b"], "The dataset is given twice: a and --data b."),
        (["--lr"], "Argument --lr: expected one argument; see tui-trainer --help."),
        (["--lr", "--epochs", "3"], "Argument --lr: expected one argument; see tui-trainer --help."),
        (["--shuffle=false"], "Argument --shuffle"),
        (["--no-tui=1"], "Argument --no-tui: ignored explicit argument '1'"),
        (
            ["--num-workers", "-1"],
            "--num-workers = -1: num_workers must be a whole number, at least 0 and at most 256.",
        ),
        (["-j-1"], "--num-workers = -1: num_workers must be"),
        (["-bx"], "--batch-size = x: batch_size must be"),
        (["--lr=-inf"], "--lr = -inf: lr must be"),
        (["--optimizer", "adamm"], "--optimizer = adamm: optimizer must be one of sgd, adam, adamw, rmsprop, ad"),
        (["--no-lr"], "Unknown flag --no-lr"),
        (["--no-no-shuffle"], "Unknown flag --no-no-shuffle"),
    ],
)
def test_what_is_not_understood_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        flags.parse(words)
    assert str(caught.value).startswith(sentence)


@given(st.lists(st.text(max_size=10), max_size=4))
def test_whatever_is_typed_ends_in_arguments_or_a_sentence(words: list[str]) -> None:
    assume(not any(word in ("-h", "--help", "--version") or word.startswith("-h") for word in words))
    sentence = ""
    try:
        flags.parse(words)
    except ConfigError as error:
        sentence = str(error)
    assert "\n" not in sentence


def test_help_names_every_setting_with_its_default_and_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        flags.parse(["--help"])
    assert leaving.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for item in SETTINGS.values():
        assert f" {item.flag}" in text
        assert " ".join(item.help.split()) in text
        default = item.to_text(item.default)
        assert not default or f"[{default}]" in text
        assert all(str(choice) in text for choice in item.choices)
