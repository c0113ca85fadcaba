"""What a run has counted so far, and where its time went; saved with each part."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from scene_batch.records import Prediction, Row

STAGES = ("list", "read", "decode", "infer", "write")
"""The steps of a photo, in order. Reading, decoding and the model have several threads each, or
share them."""


Counts: TypeAlias = tuple[Counter[str], Counter[str]]
"""Rows by class, and unreadable ones by code."""


@dataclass(slots=True)
class Tally:
    """What came of the photos so far, and where the time went."""

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When its first attempt began."""
    attempts: int = 1
    """How often it was started."""
    rows: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    """By reason code."""
    classes: Counter[str] = field(default_factory=Counter)
    """By class name."""
    sources: Counter[int] = field(default_factory=Counter)
    """Rows by number of their source."""
    kept: int = 0
    """Rows that were taken from an earlier table."""
    renewed: int = 0
    """Saved rows that were classified again, since their photos had changed."""
    retries: int = 0
    """Reads of remote photos that were tried again."""
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    """By stage, the seconds in which its threads were busy, added up."""
    threads: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 1))
    """By stage, the threads of this attempt."""
    _before: float = 0.0
    _threads_before: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    _begun: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds that the run has taken, earlier attempts included."""
        return self._before + time.monotonic() - self._begun

    @property
    def thread_seconds(self) -> dict[str, float]:
        """By stage, the seconds that its threads existed, earlier attempts included."""
        own = time.monotonic() - self._begun
        return {stage: self._threads_before[stage] + self.threads[stage] * own for stage in STAGES}

    def to_json(self) -> dict[str, Any]:
        """The JSON object that ``from_json`` reads."""
        return {
            "started_at": self.started_at.isoformat(),
            "attempts": self.attempts,
            "rows": self.rows,
            "unreadable": dict(self.unreadable),
            "classes": dict(self.classes),
            "sources": list(self.sources.items()),
            "kept": self.kept,
            "renewed": self.renewed,
            "retries": self.retries,
            "seconds": self.seconds,
            "elapsed": self.elapsed,
            "thread_seconds": self.thread_seconds,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tally:
        """Continue in another attempt what ``to_json`` gave."""
        return cls(
            started_at=datetime.fromisoformat(value["started_at"]),
            attempts=value["attempts"] + 1,
            rows=value["rows"],
            unreadable=Counter(value["unreadable"]),
            classes=Counter(value["classes"]),
            sources=Counter(dict(value["sources"])),
            kept=value["kept"],
            renewed=value["renewed"],
            retries=value["retries"],
            seconds=dict(value["seconds"]),
            _before=value["elapsed"],
            _threads_before=value["thread_seconds"],
        )

    def add(self, rows: Sequence[Row]) -> None:
        """Count rows."""
        self.rows += len(rows)
        for row in rows:
            self.sources[row.ref.position.source] += 1
            self.kept += row.kept
            self._count(row)

    def _count(self, row: Row) -> None:
        if isinstance(row, Prediction):
            self.classes[row.class_name] += 1
        else:
            self.unreadable[row.code] += 1

    def recount(self, before: Counts, now: Counts) -> None:
        """Take other counts in the place of some: by class, and of unreadable ones by code."""
        for counter, then, instead in zip(
            (self.classes, self.unreadable), before, now, strict=True
        ):
            counter.subtract(then)
            counter.update(instead)
            for name in [name for name, number in counter.items() if not number]:
                del counter[name]

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - begun

    def stages(self) -> dict[str, dict[str, float]]:
        """By stage, its threads, and the seconds in which they were busy with it or waited."""
        whole = self.thread_seconds
        return {
            stage: {
                "threads": self.threads[stage],
                "busy_seconds": round(busy, 6),
                "waiting_seconds": round(max(0.0, whole[stage] - busy), 6),
            }
            for stage, busy in self.seconds.items()
        }
