"""Laws of reads with a time limit: nobody waits for one that hangs, and order is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from types import SimpleNamespace
from typing import Any

import pytest

from scene_batch import threads
from scene_batch.errors import HungReadsError
from scene_batch.pipeline import time_limit
from scene_batch.pipeline.time_limit import LimitedWork, Step
from scene_batch.read_ahead import Room, read_ahead
from scene_batch.threads import Pool

pytestmark = pytest.mark.usefixtures("hung_threads_are_left")

LONG = 60.0


def _reads(  # each a part of the law
    read: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    workers: int | Pool,
    depth: int,
    seconds: float = LONG,
    then: Callable[[Any], Any] = lambda got: got,
    late: Callable[[Any], Any] = lambda item: -item,
    readers: int | None = None,
    room: Room[Any] | None = None,
) -> Generator[Any, None, None]:
    """Each item's result; readers None: the workers read."""
    with ExitStack() as stack:
        pool = stack.enter_context(Pool(workers)) if isinstance(workers, int) else workers
        reading = stack.enter_context(Pool(readers)) if readers else pool
        reads = stack.enter_context(
            LimitedWork(
                Step(lambda item, _: read(item), late, seconds, reading),
                Step(lambda got, _: then(got), late, LONG, pool),
            )
        )
        yield from stack.enter_context(closing(reads.results(items, depth=depth, room=room)))


def _urgent(
    call: Callable[[Any], Any], items: Iterable[Any], pool: Pool, depth: int
) -> Generator[Any, None, None]:
    """Each item's result, before what else the pool has to do."""
    return read_ahead(lambda item: pool.submit(lambda: call(item), urgent=True), items, depth=depth)


def _slow_first(number: int) -> int:
    time.sleep(0.01 if number % 3 == 0 else 0)
    return number * number


@pytest.mark.parametrize("readers", [1, 2, 9])
def test_keeps_the_order_with_readers_of_their_own(readers: int) -> None:
    got = _reads(
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

    got = _reads(fetch, range(16), workers=1, depth=8, readers=8)
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
    for number in _reads(fetch, range(len(needs)), workers=3, depth=20, readers=6, room=room):
        taken.append(number)
        with lock:
            held.append(begun)
            begun -= needs[number]
    assert taken == list(range(len(needs)))
    assert 5 < max(held) <= max(10, *needs)


def _hanging_on(hung: set[int], forever: threading.Event) -> Callable[[int], int]:
    def fetch(number: int) -> int:
        if number in hung:
            forever.wait()
        return number

    return fetch


def test_a_fetch_that_hangs_is_late_in_its_place_and_nobody_waits_for_it() -> None:
    forever = threading.Event()
    got = _reads(
        _hanging_on({3, 11}, forever),
        range(20),
        workers=3,
        depth=6,
        seconds=0.2,
    )
    begun = time.monotonic()
    assert list(got) == [-n if n in (3, 11) else n for n in range(20)]
    assert time.monotonic() - begun < 10
    forever.set()


def test_as_many_hung_as_workers_stops() -> None:
    forever = threading.Event()
    got = _reads(
        _hanging_on({2, 5}, forever),
        range(20),
        workers=2,
        depth=4,
        seconds=0.1,
    )
    taken = []
    with pytest.raises(HungReadsError, match=r"2 reads have not answered for 0\.1 s each"):
        taken.extend(iter(got))
    forever.set()


def test_hung_ones_that_come_back_do_not_count() -> None:
    def slow(number: int) -> int:
        time.sleep(0.3 if number % 4 == 0 else 0)
        return number

    got = _reads(slow, range(16), workers=4, depth=4, seconds=0.1)
    assert list(got) == [-n if n % 4 == 0 else n for n in range(16)]


def test_what_follows_a_fetch_may_take_its_time() -> None:
    def slow(number: int) -> int:
        time.sleep(0.3)
        return number

    for readers in (None, 2):
        got = _reads(abs, range(4), workers=2, depth=2, then=slow, readers=readers, seconds=0.1)
        assert list(got) == [0, 1, 2, 3]


def test_reads_that_hang_hold_up_no_one_who_waits_for_the_same_threads() -> None:
    """All threads of the pool hang, and the caller waits for urgent work: not for ever."""
    hold = threading.Event()

    def fetch(number: int) -> int:
        if number >= 2:
            hold.wait(20)
        return number

    with Pool(2) as pool:
        read = _reads(fetch, range(6), workers=pool, depth=4, seconds=0.2)
        assert next(read) == 0  # by now both threads are in a read that hangs, or soon will be
        time.sleep(0.1)
        urgent = _urgent(_slow_first, range(5), pool, 2)
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
        got = _reads(fetch, range(100), workers=pool, depth=3 * workers, seconds=0.1)
        with pytest.raises(HungReadsError):
            list(got)
        assert next(_within(5, _urgent(abs, [-7], pool, workers))) == 7
        hold.set()


def _within(seconds: float, items: Iterator[int]) -> Iterator[int]:
    """The items, computed in another thread; an error if that takes longer."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(items), daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "the pool has no thread left"
    return iter(found)


def test_a_thread_that_cannot_be_started_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of processes is reached once: reads that hang later are given up all the same."""
    hold, real, calls = threading.Event(), Pool._start_one, []

    def start_one(pool: Pool) -> None:
        calls.append(pool)
        if len(calls) == 4:  # the first after the pool's own three
            raise RuntimeError("can't start new thread")
        real(pool)

    def fetch(number: int) -> int:
        if number in {3, 20, 30}:
            hold.wait(20)
        return number

    monkeypatch.setattr(Pool, "_start_one", start_one)
    got = _reads(fetch, range(30), workers=3, depth=6, seconds=0.1)
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

    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=monotonic))
    got = _reads(fetch, range(6), workers=2, depth=3, seconds=2.0)
    assert list(got) == list(range(6))


def test_a_hang_in_a_shared_pool_leaves_it_its_size() -> None:
    hold = threading.Event()

    def fetch(number: int) -> int:
        if number == 0:
            hold.wait(10)
        return number

    with Pool(1) as pool:
        got = _reads(fetch, [0], workers=pool, depth=1, seconds=0.05, late=lambda n: -1 - n)
        assert next(got) == -1
        got.close()
        assert list(_urgent(_slow_first, range(4), pool, 2)) == [0, 1, 4, 9]
        hold.set()


def test_a_thread_that_was_replaced_leaves_no_urgent_work_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Pool(2) as pool:
        wake = threads._wake

        def replaced_now() -> None:  # between being woken and looking for the urgent work
            monkeypatch.setattr(threads, "_wake", wake)
            pool.replace(threading.current_thread())

        monkeypatch.setattr(pool, "_start_one", lambda: None)  # the new one waits already
        monkeypatch.setattr(threads, "_wake", replaced_now)
        assert pool.submit(lambda: 1, urgent=True).result(5) == 1
