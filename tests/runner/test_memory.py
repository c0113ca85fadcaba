"""Memory is that of the container, photos get their share of it, and are served in order."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_batch import memory
from scene_batch.errors import SceneBatchError
from scene_batch.memory import LEAST, Budget, PhotoMemory, refuse_small_memory, usable_memory

_NONE = str((1 << 63) - 4096)  # what cgroup v1 writes


@pytest.mark.parametrize(
    ("files", "usable"),
    [
        ({}, 9000),
        ({"memory.max": "max\n"}, 9000),
        ({"memory.max": "4000\n"}, 4000),
        ({"memory.max": "10000\n"}, 9000),
        ({"memory.max": "garbage"}, 9000),
        ({"memory/memory.limit_in_bytes": "5000\n"}, 5000),
        ({"memory/memory.limit_in_bytes": _NONE}, 9000),
        ({"mine": "0::/a/b\n", "a/memory.max": "3000", "a/b/memory.max": "max"}, 3000),
        ({"mine": "0::/a/b\n", "a/memory.max": "3000", "a/b/memory.max": "2000"}, 2000),
        ({"mine": "4:memory:/m/n\n", "memory/m/memory.limit_in_bytes": "7000"}, 7000),
        ({"mine": "3:cpu,cpuacct:/c\n", "memory/c/memory.limit_in_bytes": "7000"}, 9000),
    ],
)
def test_memory_is_that_of_the_container(
    files: dict[str, str], usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_physical", lambda: 9000)
    assert usable_memory(tmp_path, tmp_path / "mine") == usable


@pytest.mark.parametrize("known", [None, OSError, ValueError])
def test_a_machine_that_does_not_say_has_the_stated_memory(
    known: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sysconf(name: str) -> int:
        raise (known or AssertionError)

    if known is None:
        monkeypatch.delattr("os.sysconf", raising=False)
    else:
        monkeypatch.setattr("os.sysconf", sysconf, raising=False)
    assert memory._physical() == memory.UNKNOWN_MACHINE


@given(st.integers(1 << 20, 1 << 45))
def test_photos_and_the_rest_share_the_memory(usable: int) -> None:
    photos = PhotoMemory.of(usable)
    assert 0 < photos.ahead <= 128 << 20
    assert usable // 4 <= photos.ahead + photos.decoding <= usable * 3 // 4 + 1


def test_the_shares_of_a_container() -> None:
    photos = PhotoMemory.of(1 << 30)
    assert photos.ahead + photos.decoding == 768 << 20
    assert photos.ahead == 48 << 20


def test_who_comes_first_is_served_first_and_never_more_is_taken_than_there_is() -> None:
    budget, lock = Budget(10), threading.Lock()
    order: list[int] = []
    taken = most = 0

    def work(number: int, need: int) -> None:
        nonlocal taken, most
        budget.take(need)
        with lock:
            order.append(number)
            taken += need
            most = max(most, taken)
        time.sleep(0.001)
        with lock:
            taken -= need
        budget.give_back(need)

    budget.take(10)  # all wait
    needs = [9, 1, 10, 2, 3, 5, 10, 1, 1, 8, 2, 4] * 3
    threads = [threading.Thread(target=work, args=item, daemon=True) for item in enumerate(needs)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        while len(budget._waiting) < number:
            time.sleep(0.0005)
    budget.give_back(10)
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert most <= 10
    # A large one is not overtaken by small ones that came later.
    for number, need in enumerate(needs):
        if need == 10:
            assert set(order[: order.index(number)]) == set(range(number))


def test_what_never_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="11 bytes are over 10"):
        Budget(10).take(11)


def test_a_small_need_does_not_overtake_a_large_one_that_waits() -> None:
    budget, order = Budget(10), []

    def work(need: int) -> None:
        budget.take(need)
        order.append(need)
        budget.give_back(need)

    budget.take(6)
    large, small = (threading.Thread(target=work, args=(need,), daemon=True) for need in (10, 1))
    large.start()
    while not budget._waiting:
        time.sleep(0.0005)
    small.start()
    small.join(0.05)
    assert order == []
    budget.give_back(6)
    large.join(5)
    small.join(5)
    assert order == [10, 1]


def test_a_container_that_would_be_killed_is_refused_before_the_work() -> None:
    refuse_small_memory(LEAST)
    with pytest.raises(SceneBatchError, match=r"there are 96 MiB of memory .* raise the limit"):
        refuse_small_memory(96 << 20)
