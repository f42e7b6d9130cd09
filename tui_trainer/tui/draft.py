"""The configuration that is being put together on the screens. Plain: no Textual, no torch."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping

from tui_trainer.config import SETTINGS, Config, Resolved, build, to_toml
from tui_trainer.errors import ConfigError
from tui_trainer.settings import Value
from tui_trainer.text import display, user_path


class Draft:
    """Values of all settings; single ones are checked when set, combinations by `problem`."""

    def __init__(self, resolved: Resolved) -> None:
        self._values = resolved.config.values()
        self.revision = 0  # grows with each change, so that a screen knows when its summary is old

    @property
    def values(self) -> Mapping[str, Value]:
        """Every setting by its name."""
        return self._values

    @property
    def trusts_code(self) -> bool:
        """Whether the user's own code from anywhere may run: `--trust-code`."""
        return bool(self._values["trust_code"])

    def text(self, name: str) -> str:
        """A value as a form shows it."""
        return SETTINGS[name].to_text(self._values[name])

    def set_text(self, name: str, text: str) -> None:
        """Change a setting.

        Raises:
            ConfigError: the text is no value of it; nothing has changed.
        """
        self.set(name, SETTINGS[name].from_text(text, name))

    def set(self, name: str, value: Value) -> None:
        """Change a setting.

        Raises:
            ConfigError: it is of the wrong type or out of bounds; nothing has changed.
        """
        self._values[name] = SETTINGS[name].check(value, name)
        self.revision += 1

    def cycle(self, name: str, direction: int) -> bool:
        """Go to the next or previous choice or whole number; False if there is none."""
        item = SETTINGS[name]
        options: list[Value] = [None] if item.optional else []
        options += [False, True] if item.kind is bool else list(item.choices)
        now = self._values[name]
        if item.kind is int and not item.choices and isinstance(now, int):
            try:
                self.set(name, now + direction)
            except ConfigError:
                return False
            return True
        if len(options) < 2:
            return False
        self.set(name, options[(_position(options, now) + direction) % len(options)])
        return True

    def reset(self, name: str) -> None:
        """Back to the default."""
        self.set(name, SETTINGS[name].default)

    def changed(self, name: str) -> bool:
        """Whether it differs from its default."""
        return self._values[name] != SETTINGS[name].default

    def problem(self) -> str:
        """Why this cannot be run, or nothing."""
        try:
            build(self._values)
        except ConfigError as error:
            return str(error)
        return "" if self._values["data"] or self._values["resume"] else "Choose a dataset folder first: key 1."

    def missing(self) -> str:
        """Why it cannot be started although the settings go together, or nothing; looks at the disk."""
        source = str(self._values["data"])
        is_path = not set(source) & set(":*?{")  # code, a database, a set of torchvision, shards
        if source and is_path and not user_path(source).exists():
            return f"There is no {display(source)}: choose another dataset on the Data screen (1)."
        return ""

    def nothing_runs(self) -> str:
        """What to do while nothing is training."""
        if problem := self.problem():
            return f"Nothing is training. {problem}"
        data = display(str(self._values["data"]).rstrip("/").rpartition("/")[2], 30)
        return f"Nothing is training. ctrl+r starts: {self._values['epochs']} epochs on {data}."

    def config(self) -> Config:
        """What to run.

        Raises:
            ConfigError: two settings do not go together.
        """
        return build(self._values)

    def load(self, values: Mapping[str, Value]) -> None:
        """Take over other values, for example those of a file."""
        self._values = {**self._values, **values}
        self.revision += 1

    def command(self) -> str:
        """The command line that runs this without the screens."""
        return shlex.join(["tui-trainer", "--no-tui", *self.words()])

    def words(self) -> list[str]:
        """The flags of what differs from the defaults."""
        return words_of({name: value for name, value in self._values.items() if self.changed(name)})

    def toml(self) -> str:
        """The same as a file for `-c`.

        Raises:
            ConfigError: two settings do not go together.
        """
        return to_toml(self.config())

    def changes(self, always: Collection[str] = ()) -> str:
        """The file with nothing but what differs from the defaults, which says the same, and the settings `always`.

        Raises:
            ConfigError: two settings do not go together.
        """
        kept = list[str]()
        for line in self.toml().splitlines():
            if kept and kept[-1].startswith("[") and line.startswith("["):
                kept.pop()
            if line.startswith("[") or self._is_changed(name := line.partition(" = ")[0]) or name in always:
                kept.append(line)
        return "\n".join(kept[:-1] if kept[-1].startswith("[") else kept)

    def _is_changed(self, name: str) -> bool:
        return name in self._values and self.changed(name)


def words_of(values: Mapping[str, Value]) -> list[str]:
    """Settings as flags."""
    words = list[str]()
    for name in (name for name in SETTINGS if name in values):
        item, value = SETTINGS[name], values[name]
        if item.kind is bool and not item.optional:
            words.append(item.flag if value else item.flag.replace("--", "--no-", 1))
        else:
            text = item.to_text(value)
            words += [f"{item.flag}={text}"] if text.startswith("-") else [item.flag, text]
    return words


def _position(options: list[Value], value: Value) -> int:
    """Where a value stands; one of its own, which a list of usual names may have, stands before the first."""
    return options.index(value) if value in options else -1
