"""What the server counts: for Prometheus, and in short for the page."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from scene_batch.records import Row, Unreadable

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0)
_PHOTOS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_KEPT = 1000
"""Of the last answers to photos, from which the page's latency comes."""


class Figures:
    """Counts requests, photos and seconds; safe for threads."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, model: str, version: str, provider: str) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter(
            "scene_batch_requests", "Requests.", ("route", "status"), registry=registry
        )
        self._photos = Counter(
            "scene_batch_photos", "Photos by what became of them.", ("result",), registry=registry
        )
        self._seconds = Histogram(
            "scene_batch_predict_seconds",
            "Seconds of requests whose photos were answered.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._calls = Histogram(
            "scene_batch_batch_photos", "Photos of each call.", registry=registry, buckets=_PHOTOS
        )
        self._call_seconds = Counter(
            "scene_batch_model_seconds", "Seconds in calls of the model.", registry=registry
        )
        labels = ("name", "version", "provider")
        info = Gauge("scene_batch_model_info", "The model.", labels, registry=registry)
        info.labels(model, version, provider).set(1)
        self._began = time.monotonic()
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._ok = self._unreadable = self._refused = 0

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a value as it is when it is asked for."""
        Gauge(f"scene_batch_{name}", text, registry=self._registry).set_function(value)

    def request(self, route: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._refused += status == 503  # noqa: PLR2004

    def rows(self, rows: list[Row], seconds: float) -> None:
        """Count the photos of a request, which took so long."""
        for row in rows:
            unreadable = isinstance(row, Unreadable)
            self._photos.labels(row.code if isinstance(row, Unreadable) else "ok").inc()
            self._unreadable += unreadable
            self._ok += not unreadable
        self._seconds.observe(seconds)
        self._last.append(seconds)

    def call(self, photos: int, seconds: float) -> None:
        """Count a call of the model."""
        self._calls.observe(photos)
        self._call_seconds.inc(seconds)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)

    def in_short(self) -> dict[str, object]:
        """For people, as values of JSON."""
        last = sorted(self._last)
        return {
            "uptime_seconds": round(time.monotonic() - self._began, 1),
            "photos": {"ok": self._ok, "unreadable": self._unreadable},
            "refused": self._refused,
            "latency_ms": {
                name: round(last[int(share * (len(last) - 1))] * 1000, 1) if last else None
                for name, share in (("median", 0.5), ("p95", 0.95))
            },
        }
