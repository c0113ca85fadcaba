"""What a server takes as the time of a photo."""

from __future__ import annotations

from scene_batch.pipeline.pace import Pace


def test_one_moment_in_which_the_machine_stood_still_is_not_the_pace() -> None:
    pace = Pace(few=2)
    now = 0.0
    for number in range(20):
        now += 0.4 if number == 10 else 0.01
        pace.answered(1, 5, now)
    assert 0.0099 < pace.seconds(10) / 10 < 0.0101


def test_the_pace_is_that_of_the_last_photos() -> None:
    pace = Pace(few=2)
    now = 0.0
    for number in range(80):
        now += 0.01 if number < 40 else 0.1
        pace.answered(2, 5, now)
    assert 0.049 < pace.seconds(10) / 10 < 0.051


def test_nothing_is_learned_while_threads_are_idle_and_few_photos_never_wait() -> None:
    pace = Pace(few=2)
    for number in range(20):
        pace.answered(1, 1, float(number))
    assert pace.seconds(50) == 0
    for number in range(20):
        pace.answered(1, 5, 100.0 + number)
    assert pace.seconds(2) == 0
    assert pace.seconds(3) == 3
