"""Laws of trying again: elsewhere, so often, and not in a storm."""

from __future__ import annotations

import pytest

from scene_batch_cluster.attempts import Attempts, Share, ShareFailedError


class Clock:
    """A time that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        """Tell it."""
        return self.now


def _take(attempts: Attempts) -> Share:
    share = attempts.take()
    assert share is not None
    return share


def test_shares_come_in_order_and_those_that_failed_behind_the_others() -> None:
    attempts = Attempts([0, 1, 2], 3)
    attempts.lost(_take(attempts), "a", "x")
    assert [_take(attempts).number for _ in range(3)] == [1, 2, 0]
    assert attempts.take() is None


def test_a_share_that_fails_too_often_stops_the_job_with_the_cause() -> None:
    attempts = Attempts([7], 3)
    for machine in ("a", "b"):
        attempts.lost(_take(attempts), machine, "no room")
    share = _take(attempts)
    assert share.failed_on == {"a", "b"}
    with pytest.raises(ShareFailedError, match="share 7 has failed 3 times: no room; what is done"):
        attempts.lost(share, None, "no room")


def test_no_share_begins_in_a_storm_and_pauses_grow() -> None:
    clock = Clock()
    attempts = Attempts([0, 1], 9, clock)
    pauses = []
    for _ in range(6):
        attempts.storm(_take(attempts), "a", "503")
        assert attempts.take() is None
        pauses.append(attempts.pause)
        clock.now += attempts.pause
    assert pauses == [30, 60, 120, 240, 300, 300]
    _take(attempts)
    attempts.done()
    attempts.storm(_take(attempts), "a", "503")
    assert attempts.pause == 30


def test_an_old_attempt_in_the_way_is_waited_for_and_counts_as_no_failure() -> None:
    clock = Clock()
    attempts = Attempts([0, 1], 1, clock)
    for wait in (1, 2, 4, 8, 16, 30, 30):
        share = _take(attempts)
        assert share.number == 0
        attempts.in_the_way(share)
        other = _take(attempts)
        assert other.number == 1
        assert attempts.take() is None
        attempts.put_back(other)
        clock.now += wait - 0.5
        attempts.put_back(_take(attempts))  # the other one: the first has to wait still
        clock.now += 0.5
        attempts._waiting.rotate(-1)
