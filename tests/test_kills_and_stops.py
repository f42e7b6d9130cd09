"""A run survives `kill -9` at any instant, and saves at any signal.

The long forms: `python -m tests.kills 200` and `python -m tests.stops 100`, or `make soak`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .forked import Server, server
from .kills import Kills, Tally
from .stops import Stops


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("server")) as made:
        yield made


def nothing_went_wrong(tally: Tally, kills: int) -> None:
    assert (tally.lost, tally.wrong, tally.different) == ([], [], [])
    assert tally.kills >= kills
    assert 4 * tally.inside_saves >= tally.kills
    assert tally.finals


def test_a_run_that_is_killed_anywhere_loses_no_commit_and_ends_as_if_nobody_had_touched_it(
    forks: Server, tmp_path: Path
) -> None:
    nothing_went_wrong(Kills(forks, tmp_path, seed=1).go(20), 20)


@pytest.mark.soak
@pytest.mark.parametrize("processes", [False, True])
def test_many_kills(forks: Server, tmp_path: Path, processes: bool) -> None:
    nothing_went_wrong(Kills(forks, tmp_path, seed=2, each=True, processes=processes).go(200), 200)


def test_a_signal_at_any_instant_saves_at_the_exact_step(forks: Server, tmp_path: Path) -> None:
    assert Stops(forks, tmp_path, seed=1).go(3).wrong == []


@pytest.mark.soak
def test_many_signals(forks: Server, tmp_path: Path) -> None:
    assert Stops(forks, tmp_path, seed=2).go(100).wrong == []
