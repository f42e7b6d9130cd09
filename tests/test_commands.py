import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer import commands
from tui_trainer.commands import Set
from tui_trainer.errors import ConfigError

PLAIN = [kind for name, kind in commands.KINDS.items() if name != "set"]


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_command_is_read_back(kind: type[commands.Command]) -> None:
    line = commands.to_json(kind())
    assert "\n" not in line
    assert commands.from_json(line) == kind()


@given(st.floats(1e-9, 1000), st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_setting_is_read_back(lr: float, epochs: int, patience: int) -> None:
    for command in (Set(name="lr", value=lr), Set(name="epochs", value=epochs), Set(name="patience", value=patience)):
        assert commands.from_json(commands.to_json(command)) == command


@pytest.mark.parametrize(
    "line",
    [
        "", "x", "{", "[]", "5", "null", '"stop"', "{}", '{"kind": "dance"}', '{"kind": 5}', '{"kind": []}',
        '{"kind": "stop", "now": true}', '{"kind": "set"}', '{"kind": "set", "name": "seed", "value": 1}',
        '{"kind": "set", "name": "lr"}', '{"kind": "set", "name": "lr", "value": "fast"}',
        '{"kind": "set", "name": "lr", "value": NaN}', '{"kind": "set", "name": "lr", "value": Infinity}',
        '{"kind": "set", "name": "lr", "value": true}', '{"kind": "set", "name": "lr", "value": null}',
        '{"kind": "set", "name": "lr", "value": [1]}', '{"kind": "set", "name": "lr", "value": 0}',
        '{"kind": "set", "name": "lr", "value": -1}', '{"kind": "set", "name": "epochs", "value": 0}',
        '{"kind": "set", "name": "epochs", "value": 1e400}', '{"kind": "set", "name": "patience", "value": -1}',
        '{"kind": "set", "name": [], "value": 1}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_line_that_is_no_command_is_none(line: str) -> None:
    assert commands.from_json(line) is None


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=5), st.sampled_from([*commands.KINDS, "lr"])),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["kind", "name", "value", "x"]), inner, max_size=4),
        ),
        max_leaves=6,
    )
)
def test_any_json_is_a_command_within_bounds_or_none(record: object) -> None:
    command = commands.from_json(json.dumps(record))
    assert command is None or isinstance(command, commands.Command)
    if isinstance(command, Set):
        assert math.isfinite(command.value)


@pytest.mark.parametrize("name", ["seed", "batch_size", "", "lr "])
def test_only_live_settings_can_be_set(name: str) -> None:
    with pytest.raises(ConfigError, match="only lr, epochs, patience can"):
        Set(name=name, value=1.0)
