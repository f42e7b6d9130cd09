"""Every setting, once.

A field here is at the same time a command-line flag (`--batch-size`), a TOML key (`batch_size` in
table `[loader]`), a form field on the screens and a row of the reference in the README.
`None` means "auto": chosen when the run is built, and written to the run's `config.toml` as chosen.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui_trainer.data_config import WHICH_SAMPLES, DataConfig, LoaderConfig
from tui_trainer.errors import ConfigError
from tui_trainer.every import parse_every
from tui_trainer.recipe_config import RecipeConfig
from tui_trainer.settings import AUTO, Setting, Value, setting, settings_of
from tui_trainer.text import display, user_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ADAPTERS = ("first_conv", "class_rows", "positions")
MAX_TOML_BYTES = 64 * 1024  # tomllib takes minutes over dotted keys of a few hundred KB


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network, and what it starts from."""

    model: str = setting(
        "auto",
        "lenet, mlp, a name of torchvision, timm:NAME, file.py:Class or package.module:factory; auto: lenet, or mlp "
        "for rows of numbers.",
        metavar="NAME",
    )
    model_args: tuple[str, ...] = setting((), "More arguments for the model's builder.", metavar="NAME=VALUE,...")
    hidden_sizes: tuple[int, ...] = setting(
        (64, 64), "Widths of the hidden layers of mlp.", ge=1, le=65536, metavar="N,N,..."
    )
    pretrained: str = setting(
        "",
        "Weight file, run folder or name of a run to start from; imagenet: torchvision's weights.",
        metavar="FILE",
    )
    pretrained_group: str = setting(
        "", "Which of a file's weights, where several fit: ema, model, encoder_q ...", metavar="NAME"
    )
    include_layers: tuple[str, ...] = setting((), "Layers to load; empty: all that fit.", metavar="NAME,...")
    exclude_layers: tuple[str, ...] = setting(
        (), "Layers to leave out, such as fc1 or layer4.*.conv1; **.bn1 at any depth.", metavar="NAME,..."
    )
    rename_layers: tuple[str, ...] = setting((), "Other names for the file's layers.", metavar="OLD=NEW,...")
    adapters: tuple[str, ...] = setting(
        ADAPTERS,
        "Layers of another shape to make fit: first_conv, class_rows, positions; none.",
        metavar="NAME,...",
    )
    by_order: bool = setting(False, "Where no name fits, pair layers by order and shape: a guess.")
    freeze: tuple[str, ...] = setting(
        (), "Layers that stay as they are; loaded: what was loaded; backbone: all but the last.", metavar="NAME,..."
    )
    freeze_epochs: int = setting(0, "Frozen layers train after so many epochs; 0: never.", unit="epochs", ge=0)
    pretrained_fingerprint: str = setting(
        "", "Of the weight file when the run began; a run from another one warns.", metavar="HEX"
    )

    def __post_init__(self) -> None:
        if unknown := [name for name in self.adapters if name not in (*ADAPTERS, "none")]:
            words = ", ".join(ADAPTERS)
            raise ConfigError(f"adapters = {display(unknown[0], 80)}: each must be one of {words}, or none for none.")
        if self.freeze_epochs and not self.freeze:
            raise ConfigError(f"freeze_epochs = {self.freeze_epochs}: say which layers by freeze, as in backbone.")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What is kept of a run, and where."""

    output_dir: str = setting("", "Folder for the run; default: runs/ in the user's data folder.", metavar="DIR")
    name: str = setting("", "Name of the run; default: model and time.", metavar="NAME")
    branch: str = setting("", "Begin a new run at a checkpoint of another, newest or of a step.", metavar="RUN[@STEP]")
    resume: str = setting("", "Go on with this run (its folder or name) from its last checkpoint.", metavar="RUN")
    nproc: int = setting(
        1, "Processes, one a GPU, that train together; batch_size is that of all of them.", ge=1, le=1024
    )
    strategy: str = setting(
        "ddp",
        "How processes share the model: ddp, each has all of it; fsdp, each a part, for what fits on no device.",
        choices=("ddp", "fsdp"),
    )
    max_restarts: int = setting(
        3, "Times that all processes start again from the last checkpoint when one is lost.", ge=0, le=1000
    )
    log_every: int | None = setting(
        None,
        "Steps between two progress events; auto: at most 100 events an epoch, 8 of a small network; 20 steps.",
        unit="steps",
        ge=1,
    )
    checkpoint_every: str = setting(
        "auto",
        "Save every 2 (epochs) or 500steps; auto: each epoch, or rarer if that took over 0.5 % of the time.",
        metavar="N",
    )
    keep_checkpoints: int = setting(2, "Newest checkpoints that are kept.", ge=1)
    keep_every: str = setting("", "Also keep for good the checkpoint of every 10 (epochs) or 5000steps.", metavar="N")
    tensorboard: bool = setting(False, "Record for TensorBoard too, in tensorboard/ of the run folder.")
    allow_changed_data: bool = setting(False, "Resume although files of the dataset were added, removed or moved.")
    trust_code: bool = setting(False, "Run Python named by model or data that lies outside the current folder.")

    def __post_init__(self) -> None:
        if self.checkpoint_every.lower() != AUTO:
            parse_every(self.checkpoint_every, "checkpoint_every")
        if self.keep_every:
            parse_every(self.keep_every, "keep_every")


TABLES: dict[str, type] = {
    "data": DataConfig,
    "loader": LoaderConfig,
    "model": ModelConfig,
    "recipe": RecipeConfig,
    "run": RunConfig,
}
SETTINGS: dict[str, Setting] = {s.name: s for table, cls in TABLES.items() for s in settings_of(table, cls)}


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole configuration of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    recipe: RecipeConfig = field(default_factory=RecipeConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def values(self) -> dict[str, Value]:
        """Every setting by its name."""
        return {s.name: getattr(getattr(self, s.table), s.name) for s in SETTINGS.values()}

    def replace(self, **values: Value) -> Config:
        """The same with some settings changed, by name; checked again."""
        return build(self.values() | values)


def build(values: Mapping[str, Value], where: Mapping[str, str] | None = None) -> Config:
    """The configuration with these values, defaults for the rest.

    Raises:
        ConfigError: a value is of the wrong type, out of bounds, or does not go with another.
    """
    tables: dict[str, dict[str, Value]] = {table: {} for table in TABLES}
    for name, value in values.items():
        known = SETTINGS[name]
        tables[known.table][name] = known.check(value, (where or {}).get(name, name))
    made: dict[str, Any] = {table: cls(**tables[table]) for table, cls in TABLES.items()}
    return Config(**made)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A configuration and where each of its values came from: "default", the name of `file`, or a flag."""

    config: Config
    origins: Mapping[str, str]
    file: Path | None = None


def resolve(flags: Mapping[str, Value], file: Path | None = None) -> Resolved:
    """Flags over file over defaults."""
    from_file = read_toml(file) if file else {}
    names = (*WHICH_SAMPLES, "channels")
    others = (name for name in names if name in flags and not _is_same(flags[name], from_file.get(name)))
    elsewhere = from_file.get("normalize") == "measured" and any(others)  # mean and std are of other samples
    if ("normalize" in flags or elsewhere) and "mean" not in flags:
        from_file = {name: value for name, value in from_file.items() if name not in ("mean", "std")}
    if "pretrained" in flags:
        from_file.pop("pretrained_fingerprint", None)  # it is of another file
    if flags.get("shuffle") and (flags.get("sampler", "default") != "default" or flags.get("batch_sampler")):
        raise ConfigError("--shuffle and a sampler both give the order: leave out one of them.")
    origins = dict.fromkeys(SETTINGS, "default")
    origins |= dict.fromkeys(from_file, display(file.name) if file else "")
    origins |= {name: SETTINGS[name].flag for name in flags}
    where = {name: f"{display(file or '')}: {name}" for name in from_file}
    where |= {name: SETTINGS[name].flag for name in flags}
    return Resolved(config=build({**from_file, **flags}, where), origins=origins, file=file)


def _is_same(flag: Value, known: Value) -> bool:
    """Whether a flag says what a file does, which holds absolute paths."""
    return flag == known or (isinstance(flag, str) and bool(flag) and str(user_path(flag)) == known)


def read_toml(path: Path) -> dict[str, Value]:
    """The settings that a TOML file gives.

    Raises:
        ConfigError: it cannot be read, is not TOML, or holds a key or table that is not a setting's.
    """
    shown = display(path)
    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise ConfigError(f"{shown} is larger than 64 KB: it is not a configuration of this program.")
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the configuration {shown}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{shown} is not valid TOML: {display(error)}.") from None
    found: dict[str, Value] = {}
    for table, keys in tree.items():
        if table not in TABLES:
            belongs = f"; {table} belongs into [{SETTINGS[table].table}]." if table in SETTINGS else ""
            raise ConfigError(f"{shown}: unknown table [{display(table)}]{belongs or did_you_mean(table, TABLES)}")
        if not isinstance(keys, dict):
            raise ConfigError(f"{shown}: {table} must be a table; write [{table}] and its settings below it.")
        for name, value in keys.items():
            if name not in SETTINGS or SETTINGS[name].table != table:
                raise ConfigError(f"{shown}: unknown key {display(name)} in [{table}]{_hint(name, table)}")
            found[name] = SETTINGS[name].check(value, f"{shown}: {name}")
    if found.get("trust_code"):
        raise ConfigError(f"{shown}: trust_code = true: a file cannot vouch for code; give --trust-code yourself.")
    return found


def _hint(name: str, table: str) -> str:
    if name in SETTINGS:
        return f"; it belongs into [{SETTINGS[name].table}]."
    return did_you_mean(name, [s.name for s in SETTINGS.values() if s.table == table])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error sentence: "; did you mean ...?" or a full stop."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else "."


def to_toml(config: Config, origins: Mapping[str, str] | None = None) -> str:
    """The configuration as a TOML file; with `origins`, each line says where its value came from."""
    import tomli_w

    lines: list[str] = []
    for table, cls in TABLES.items():
        lines += ["", f"[{table}]"]
        for item in dataclasses.fields(cls):
            value = getattr(getattr(config, table), item.name)
            plain = AUTO if value is None else list(value) if isinstance(value, tuple) else value
            text = tomli_w.dumps({item.name: plain}, indent=0).strip().replace(",\n]", "]").replace("[\n", "[")
            text = text.replace(",\n", ", ")
            lines.append(f"{text:<40}  # {origins[item.name]}" if origins else text)
    return "\n".join(lines[1:]) + "\n"
