"""How much memory photos may take, and who takes it: large ones wait for each other."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scene_batch.cgroups import CGROUPS, MINE, folders
from scene_batch.errors import SceneBatchError

LEAST = 120 << 20
"""Bytes without which not even small photos are classified by the embedded model: in a container
of 96 MiB the system killed the run, in one of 128 it went through."""
UNKNOWN_MACHINE = 4 << 30
"""Bytes of a machine that does not say what it has: Windows."""

_OTHERS_SHARE, _OTHERS_LEAST = 4, 256 << 20
"""What is not for photos (runtime, model, Arrow, threads) gets a quarter of the memory, and at
least so many bytes: a run with the embedded model and two workers takes 200 MB."""
_AHEAD_SHARE, _AHEAD_MOST = 16, 128 << 20
"""Encoded photos that are read ahead get this share, and at most so many bytes."""


def usable_memory(cgroups: Path = CGROUPS, mine: Path = MINE) -> int:
    """The smaller of the machine's memory and the cgroups' limits, in bytes.

    Args:
        cgroups: Where the cgroups are mounted.
        mine: Says which of them this process is in.
    """
    limits = [limit for folder in folders("memory", cgroups, mine) if (limit := _limit(folder))]
    return min([_physical(), *limits])


def refuse_small_memory(memory: int) -> None:
    """Refuse a container in which the system would end the run without a word.

    Args:
        memory: What there is, in bytes.

    Raises:
        SceneBatchError: It is less than ``LEAST``.
    """
    if memory < LEAST:
        raise SceneBatchError(
            f"there are {memory >> 20} MiB of memory (the container's limit), and a run with the"
            f" embedded model needs {LEAST >> 20}, larger photos and models more: raise the limit"
        )


def _physical() -> int:
    sysconf: Callable[[str], int] | None = getattr(os, "sysconf", None)
    try:
        return sysconf("SC_PAGE_SIZE") * sysconf("SC_PHYS_PAGES") if sysconf else UNKNOWN_MACHINE
    except (OSError, ValueError):
        return UNKNOWN_MACHINE


def _limit(folder: Path) -> int | None:
    """A cgroup's limit in bytes; None where it has none."""
    for name in ("memory.max", "memory.limit_in_bytes"):  # cgroup-v2; v1 writes a huge one for none
        try:
            return int((folder / name).read_text()) or None  # "max" is none
        except (OSError, ValueError):
            continue
    return None


@dataclass(frozen=True, slots=True)
class PhotoMemory:
    """What photos may take of some memory, in bytes."""

    ahead: int
    """Most bytes of the photos that are read ahead, still encoded."""
    decoding: int
    """Most bytes for decoding, in all threads together, the encoded photos included."""

    @classmethod
    def of(cls, memory: int) -> PhotoMemory:
        """Three quarters of the memory, but all except 256 MiB where that is less."""
        photos = max(memory // 4, memory - max(memory // _OTHERS_SHARE, _OTHERS_LEAST))
        ahead = min(photos // _AHEAD_SHARE, _AHEAD_MOST)
        return cls(ahead, photos - ahead)


class Budget:
    """Bytes that threads take and give back; who comes first is served first.

    A thread takes all that it needs at once, and has nothing while it waits: so all are served.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._waiting: deque[tuple[int, threading.Lock]] = deque()
        self._lock = threading.Lock()

    def take(self, need: int) -> None:
        """Take bytes, and wait for them where others have them.

        Raises:
            ValueError: It is more than there is in all.
        """
        if need > self.most:
            raise ValueError(f"{need} bytes are over {self.most}")
        with self._lock:
            if not self._waiting and need <= self._free:
                self._free -= need
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append((need, turn))
        turn.acquire()  # released by the thread that gave back enough

    def give_back(self, need: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._free += need
            while self._waiting and self._waiting[0][0] <= self._free:
                granted, turn = self._waiting.popleft()
                self._free -= granted
                turn.release()


def give_to_system() -> None:
    """Give freed memory back to the system: glibc would keep hundreds of megabytes of it."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Glibc's; other systems' libraries have none, or give back by themselves."""
    import ctypes

    if sys.platform != "linux":
        return None
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found


def needs_too_much(need: int, most: int) -> str:
    """Why a photo is too large: what it needs, and what there is, in bytes."""
    return f"it needs {-(-need // 10**6)} MB of memory, and decoding may use {most // 10**6} MB"


def share_memory(share: float) -> None:
    """Leave the rest to others: said before a process's first run, which several of them share.

    Args:
        share: Of what may be used, above 0, up to 1.
    """
    global _share  # noqa: PLW0603 - of a process, as its memory is
    _share = share


_share = 1.0


@cache
def photo_memory() -> PhotoMemory:
    """What photos may take in this process."""
    return PhotoMemory.of(int(usable_memory() * _share))


@cache
def decoding_budget() -> Budget:
    """The one of this process: all its runs share the same memory."""
    return Budget(photo_memory().decoding)
