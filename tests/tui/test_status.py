"""The result of a run in words."""

from __future__ import annotations

import pytest

from tui_trainer.run_state import RunState
from tui_trainer.tui.widgets.status import result_text


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "\n1 file that cannot be read was left out: bad_files.csv\n"),
        (1200, "\n1,200 files that cannot be read were left out: bad_files.csv\n"),
    ],
)
def test_how_many_files_were_left_out_stands_in_the_result(count: int, words: str) -> None:
    state = RunState(outcome="finished", message="Finished.", left_out={f"{i}.png" for i in range(count)})
    assert words in result_text(state, "runs/lenet", 80).plain
    assert "left out" not in result_text(state, "", 80).plain  # there is no folder that could have the list
    assert "left out" not in result_text(RunState(outcome="finished"), "runs/lenet", 80).plain
