import pytest

from tui_trainer.engine.pace import Pace


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_seconds_go_on_from_a_checkpoint_and_pauses_do_not_count(clock: Clock) -> None:
    pace = Pace(50.0, clock)
    clock.now += 5
    assert pace.seconds == 55
    pace.pause()
    clock.now += 100
    assert pace.seconds == 55
    pace.resume()
    clock.now += 1
    assert pace.seconds == 56
    pace.resume()  # not paused: nothing changes
    assert pace.seconds == 56


def test_images_per_second_are_those_of_the_part(clock: Clock) -> None:
    pace = Pace(0.0, clock)
    pace.begin()
    clock.now += 2
    assert pace.measure("train", 100) == 50
    clock.now += 1
    assert pace.measure("train", 200) == pytest.approx(0.7 * 50 + 0.3 * 100)
    pace.begin()
    clock.now += 1
    assert pace.measure("val", 400) == 400
    assert pace.measure("train", 400) == pytest.approx(65)  # no time has passed: what is known


def test_samples_of_a_resumed_epoch_are_not_counted_as_done_now(clock: Clock) -> None:
    pace = Pace(0.0, clock)
    pace.begin(samples=1000)
    clock.now += 1
    assert pace.measure("train", 1010) == 10


def test_the_time_left_includes_validation(clock: Clock) -> None:
    pace = Pace(0.0, clock)
    assert pace.left(100, 100) == 0
    pace.begin()
    clock.now += 1
    pace.measure("train", 10)
    assert pace.left(100, 100) == 100 / 10 + 100 / 20  # validation is taken as twice as fast until measured
    pace.begin()
    clock.now += 1
    pace.measure("val", 50)
    assert pace.left(100, 100) == 100 / 10 + 100 / 50


def test_waiting_for_data_is_a_share_of_the_time_since_the_last_look(clock: Clock) -> None:
    pace = Pace(0.0, clock)

    def slow() -> list[int]:
        return [1, 2]

    def batches() -> object:
        for number in slow():
            clock.now += 3
            yield number

    for _ in pace.waiting(batches()):  # type: ignore[arg-type]
        clock.now += 1
    assert pace.data_wait() == pytest.approx(6 / 8)
    assert pace.data_wait() == 0
