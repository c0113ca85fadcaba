"""Laws of the read-ahead: order, boundedness, a clean stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import pytest

from scene_batch.read_ahead import read_ahead
from scene_batch.threads import Pool


def _ahead(
    call: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    workers: int | Pool,
    depth: int,
    urgent: bool = False,
) -> Generator[Any, None, None]:
    """Each item's result, computed in so many threads, or in those of a pool that others use."""
    if isinstance(workers, int):
        with Pool(workers) as pool:
            yield from _ahead(call, items, workers=pool, depth=depth, urgent=urgent)
        return
    yield from read_ahead(
        lambda item: workers.submit(lambda: call(item), urgent=urgent), items, depth=depth
    )


def _slow_first(number: int) -> int:
    time.sleep(0.01 if number % 3 == 0 else 0)
    return number * number


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("ahead", [0, 1, 10])
def test_keeps_the_order(workers: int, ahead: int) -> None:
    got = _ahead(_slow_first, range(40), workers=workers, depth=workers + ahead)
    assert list(got) == [n * n for n in range(40)]


@pytest.mark.parametrize("depth", [1, 2, 10])
def test_never_draws_further_ahead_than_its_depth(depth: int) -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield number

    for taken, _ in enumerate(_ahead(_slow_first, items(), workers=1, depth=depth), 1):
        assert drawn - taken < depth
    assert drawn == 100


def test_draws_nothing_before_it_is_asked() -> None:
    drawn = []
    _ahead(_slow_first, (drawn.append(n) or n for n in range(3)), workers=1, depth=2)
    assert drawn == []


def test_leaves_no_thread_when_it_is_closed_early() -> None:
    before = threading.active_count()
    squares = _ahead(_slow_first, range(1000), workers=4, depth=20)
    assert next(squares) == 0
    assert threading.active_count() > before
    squares.close()
    assert threading.active_count() == before


def test_raises_at_the_place_of_the_failure() -> None:
    results = _ahead(lambda n: 6 // (2 - n), range(5), workers=3, depth=5)
    assert [next(results), next(results)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_failure_of_the_items_waits_for_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError("the listing ends here")

    got = _ahead(_slow_first, items(), workers=2, depth=4)
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
        later = _ahead(note, ["a1", "a2", "a3"], workers=pool, depth=3)
        first = _ahead(note, ["b1", "b2"], workers=pool, depth=2, urgent=True)
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
        dropped = _ahead(_slow_first, range(1000), workers=pool, depth=50)
        assert next(dropped) == 0
        dropped.close()
        assert list(_ahead(_slow_first, range(20), workers=pool, depth=5)) == [
            n * n for n in range(20)
        ]
    assert not [t for t in threading.enumerate() if t.name == "scene-batch"]


def test_refuses_sizes_that_cannot_work() -> None:
    with pytest.raises(ValueError, match="a pool needs at least 1 thread"):
        Pool(0)
    with pytest.raises(ValueError, match="a depth of at least 1"):
        next(_ahead(_slow_first, range(3), workers=1, depth=0))
