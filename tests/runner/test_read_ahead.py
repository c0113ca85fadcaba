"""Laws of the read-ahead: order, boundedness, a clean stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from scene_batch import task
from scene_batch.errors import HungReadsError
from scene_batch.read_ahead import Room, TimeLimit, prefetch
from scene_batch.threads import Pool


def _slow_first(number: int) -> int:
    time.sleep(0.01 if number % 3 == 0 else 0)
    return number * number


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("ahead", [0, 1, 10])
def test_keeps_the_order(workers: int, ahead: int) -> None:
    got = prefetch(_slow_first, range(40), workers=workers, depth=workers + ahead)
    assert list(got) == [n * n for n in range(40)]


@pytest.mark.parametrize("readers", [1, 2, 9])
def test_keeps_the_order_with_readers_of_their_own(readers: int) -> None:
    got = prefetch(
        _slow_first,
        range(40),
        workers=2,
        depth=10,
        then=lambda n: _slow_first(n) + 1,
        readers=readers,
    )
    assert list(got) == [n**4 + 1 for n in range(40)]


def test_a_slow_read_holds_no_worker() -> None:
    many = threading.Barrier(8, timeout=10)  # passed only if eight fetch at once

    def fetch(number: int) -> int:
        many.wait()
        return number

    got = prefetch(fetch, range(16), workers=1, depth=8, readers=8)
    assert list(got) == list(range(16))


@pytest.mark.parametrize("needs", [[3] * 30, [1, 9, 2, 30, 1, 1, 5, 12] * 4])
def test_what_is_ahead_fits_into_its_room(needs: list[int]) -> None:
    lock, begun, held = threading.Lock(), 0, []

    def fetch(number: int) -> int:
        nonlocal begun
        with lock:
            begun += needs[number]
            held.append(begun)
        return number

    room = Room(10, needs.__getitem__)
    taken = []
    for number in prefetch(fetch, range(len(needs)), workers=3, depth=20, readers=6, room=room):
        taken.append(number)
        with lock:
            held.append(begun)
            begun -= needs[number]
    assert taken == list(range(len(needs)))
    assert 5 < max(held) <= max(10, *needs)


@pytest.mark.parametrize("depth", [1, 2, 10])
def test_never_draws_further_ahead_than_its_depth(depth: int) -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield number

    for taken, _ in enumerate(prefetch(_slow_first, items(), workers=1, depth=depth), 1):
        assert drawn - taken < depth
    assert drawn == 100


def test_draws_nothing_before_it_is_asked() -> None:
    drawn = []
    prefetch(_slow_first, (drawn.append(n) or n for n in range(3)), workers=1, depth=2)
    assert drawn == []


def test_leaves_no_thread_when_it_is_closed_early() -> None:
    before = threading.active_count()
    squares = prefetch(_slow_first, range(1000), workers=4, depth=20)
    assert next(squares) == 0
    assert threading.active_count() > before
    squares.close()
    assert threading.active_count() == before


def test_raises_at_the_place_of_the_failure() -> None:
    results = prefetch(lambda n: 6 // (2 - n), range(5), workers=3, depth=5)
    assert [next(results), next(results)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize(("workers", "depth", "readers"), [(0, 1, None), (3, 2, None), (1, 3, 4)])
def test_refuses_sizes_that_cannot_work(workers: int, depth: int, readers: int | None) -> None:
    with pytest.raises(ValueError, match="workers"):
        next(prefetch(_slow_first, range(3), workers=workers, depth=depth, readers=readers))


def _hanging_on(hung: set[int], forever: threading.Event) -> Callable[[int], int]:
    def fetch(number: int) -> int:
        if number in hung:
            forever.wait()
        return number

    return fetch


@pytest.mark.usefixtures("hung_threads_are_left")
def test_a_fetch_that_hangs_is_late_in_its_place_and_nobody_waits_for_it() -> None:
    forever = threading.Event()
    got = prefetch(
        _hanging_on({3, 11}, forever),
        range(20),
        workers=3,
        depth=6,
        limit=TimeLimit(0.2, lambda number: -number),
    )
    begun = time.monotonic()
    assert list(got) == [-n if n in (3, 11) else n for n in range(20)]
    assert time.monotonic() - begun < 10
    forever.set()


@pytest.mark.usefixtures("hung_threads_are_left")
def test_as_many_hung_as_workers_stops() -> None:
    forever = threading.Event()
    got = prefetch(
        _hanging_on({2, 5}, forever),
        range(20),
        workers=2,
        depth=4,
        limit=TimeLimit(0.1, lambda number: -number),
    )
    taken = []
    with pytest.raises(HungReadsError, match=r"2 reads have not answered for 0\.1 s each"):
        taken.extend(iter(got))
    forever.set()


def test_hung_ones_that_come_back_do_not_count() -> None:
    def slow(number: int) -> int:
        time.sleep(0.3 if number % 4 == 0 else 0)
        return number

    got = prefetch(slow, range(16), workers=4, depth=4, limit=TimeLimit(0.1, lambda n: -n))
    assert list(got) == [-n if n % 4 == 0 else n for n in range(16)]


def test_what_follows_a_fetch_may_take_its_time() -> None:
    def slow(number: int) -> int:
        time.sleep(0.3)
        return number

    for readers in (None, 2):
        limit = TimeLimit(0.1, lambda n: -n)
        got = prefetch(abs, range(4), workers=2, depth=2, then=slow, readers=readers, limit=limit)
        assert list(got) == [0, 1, 2, 3]


def test_a_failure_of_the_items_waits_for_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError("the listing ends here")

    got = prefetch(_slow_first, items(), workers=2, depth=4)
    assert [next(got) for _ in range(5)] == [n * n for n in range(5)]
    with pytest.raises(OSError, match="ends here"):
        next(got)


def test_two_share_a_pool_and_the_urgent_one_goes_first() -> None:
    begun: list[str] = []
    hold = threading.Event()

    def note(name: str) -> str:
        hold.wait(10)
        begun.append(name)
        return name

    with Pool(1) as pool:
        later = prefetch(note, ["a1", "a2", "a3"], workers=pool, depth=3)
        first = prefetch(note, ["b1", "b2"], workers=pool, depth=2, urgent=True)
        threading.Timer(0.2, hold.set).start()  # by then both have submitted
        drawn = threading.Thread(target=lambda: begun.append(f"got {next(later)}"))
        drawn.start()
        assert list(first) == ["b1", "b2"]
        drawn.join(10)
        assert list(later) == ["a2", "a3"]
    order = [name for name in begun if not name.startswith("got")]
    assert order.index("b1") <= 1
    assert order.index("b2") < order.index("a3")
    assert order[-1] == "a3"


def test_closing_one_leaves_the_pool_to_the_other() -> None:
    with Pool(2) as pool:
        dropped = prefetch(_slow_first, range(1000), workers=pool, depth=50)
        assert next(dropped) == 0
        dropped.close()
        assert list(prefetch(_slow_first, range(20), workers=pool, depth=5)) == [
            n * n for n in range(20)
        ]
    assert not [t for t in threading.enumerate() if t.name == "scene-batch"]


def test_reads_that_hang_hold_up_no_one_who_waits_for_the_same_threads() -> None:
    """All threads of the pool hang, and the caller waits for urgent work: not for ever."""
    hold = threading.Event()

    def fetch(number: int) -> int:
        if number >= 2:
            hold.wait(20)
        return number

    with Pool(2) as pool:
        limit = TimeLimit(0.2, lambda number: -number)
        read = prefetch(fetch, range(6), workers=pool, depth=4, limit=limit)
        assert next(read) == 0  # by now both threads are in a read that hangs, or soon will be
        time.sleep(0.1)
        urgent = prefetch(_slow_first, range(5), workers=pool, depth=2, urgent=True)
        assert list(urgent) == [0, 1, 4, 9, 16]
        assert [next(read), next(read), next(read)] == [1, -2, -3]
        with pytest.raises(HungReadsError, match="reads have not answered"):
            next(read)
        hold.set()


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("good", [0, 1, 7, 8])
def test_a_storage_that_dies_leaves_the_pool_to_what_was_read_before(
    workers: int, good: int
) -> None:
    """All reads hang from some item on: an error, and the same threads still do what is left."""
    hold = threading.Event()

    def fetch(number: int) -> int:
        if number >= good:
            hold.wait(20)
        return number

    with Pool(workers) as pool:
        limit = TimeLimit(0.1, lambda number: -1 - number)
        got = prefetch(fetch, range(100), workers=pool, depth=3 * workers, limit=limit)
        taken = []
        with pytest.raises(HungReadsError):
            taken.extend(iter(got))
        taken += [next(_within(5, prefetch(abs, [-7], workers=pool, depth=workers, urgent=True)))]
        hold.set()
        assert taken[-1] == 7


def _within(seconds: float, items: Iterator[int]) -> Iterator[int]:
    """The items, computed in another thread; an error if that takes longer."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(items), daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "the pool has no thread left"
    return iter(found)


@pytest.mark.usefixtures("hung_threads_are_left")
def test_a_thread_that_cannot_be_started_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of processes is reached once: reads that hang later are given up all the same."""
    hold, real, calls = threading.Event(), Pool.replace_one, []

    def replace_one(pool: Pool) -> None:
        calls.append(pool)
        if len(calls) == 4:  # the first after the pool's own three
            raise RuntimeError("can't start new thread")
        real(pool)

    def fetch(number: int) -> int:
        if number in {3, 20, 30}:
            hold.wait(20)
        return number

    monkeypatch.setattr(Pool, "replace_one", replace_one)
    limit = TimeLimit(0.1, lambda number: -number)
    got = prefetch(fetch, range(30), workers=3, depth=6, limit=limit)
    want = [-n if n in {3, 20} else n for n in range(30)]
    assert list(_within(5, got)) == want
    hold.set()
    assert len(calls) > 4


def test_time_in_which_the_process_stood_still_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a SIGSTOP, or in a container that was paused, what was on its way goes on."""
    stood = 0.0

    def monotonic() -> float:
        return time.monotonic() + stood

    def fetch(number: int) -> int:
        nonlocal stood
        if number == 2:
            stood += 3600
            time.sleep(0.6)  # beyond the next look
        return number

    monkeypatch.setattr(task, "time", SimpleNamespace(monotonic=monotonic))
    got = prefetch(fetch, range(6), workers=2, depth=3, limit=TimeLimit(2.0, lambda n: -n))
    assert list(got) == list(range(6))


def test_a_hang_in_a_shared_pool_leaves_it_its_size() -> None:
    hold = threading.Event()

    def fetch(number: int) -> int:
        if number == 0:
            hold.wait(10)
        return number

    with Pool(1) as pool:
        limit = TimeLimit(0.05, lambda number: -1 - number)
        got = prefetch(fetch, [0], workers=pool, depth=1, limit=limit)
        assert next(got) == -1
        got.close()
        assert list(prefetch(_slow_first, range(4), workers=pool, depth=2)) == [0, 1, 4, 9]
        hold.set()
