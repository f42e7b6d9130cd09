import pytest

from tui_trainer.errors import ConfigError
from tui_trainer.every import Every, parse_every


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("2", Every(2)),
        (" 2 epochs ", Every(2)),
        ("1ep", Every(1)),
        ("500steps", Every(500, steps=True)),
        ("1 Step", Every(1, steps=True)),
    ],
)
def test_what_it_means(text: str, every: Every) -> None:
    assert parse_every(text, "keep_every") == every


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "2 weeks", "steps", "1e3", "\x1b[31m", "9" * 30])
def test_what_it_is_not(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"keep_every = .*: write a number of epochs, such as 2, or of steps"
    ) as caught:
        parse_every(text, "keep_every")
    assert "\x1b" not in str(caught.value)


def test_when_it_is_met() -> None:
    assert Every(2).meets(4, 0, 24)
    assert not Every(2).meets(4, 1, 25)
    assert not Every(2).meets(3, 0, 18)
    assert Every(5, steps=True).meets(4, 1, 25)
    assert not Every(5, steps=True).meets(4, 0, 24)
