from __future__ import annotations

import os

import pytest

from tui_trainer import cli, waiting


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    monkeypatch.setattr(os, "environ", plain)
    return plain


def test_the_command_line_lets_threads_sleep_after_a_moment(environment: dict[str, str]) -> None:
    cli.main(["--print-config", "--no-tui"])
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["GOMP_SPINCOUNT"] == waiting.SPINS


@pytest.mark.parametrize("given", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "PASSIVE"}])
def test_what_the_user_has_said_stays(environment: dict[str, str], given: dict[str, str]) -> None:
    environment.update(given)
    waiting.set_waiting()
    assert {name: value for name, value in environment.items() if "OMP_WAIT" in name or "SPIN" in name} == given


def test_a_spin_count_of_the_user_stays(environment: dict[str, str]) -> None:
    environment["GOMP_SPINCOUNT"] = "7"
    waiting.set_waiting()
    assert environment["GOMP_SPINCOUNT"] == "7"
