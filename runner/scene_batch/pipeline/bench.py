"""Find the fastest setting on this device: runs without a table, within a given time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from scene_batch.errors import ProviderError
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.model_file import ModelFile
from scene_batch.model.predictor import Predictor
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.engine import Engine
from scene_batch.pipeline.thread_plan import ThreadPlan
from scene_batch.processors import usable_cpus
from scene_batch.records import ImageRef, Prediction
from scene_batch.sources.reading import Reader

BATCHES = {
    "cpu": (1, 2, 4, 8, 16, 32),
    "openvino": (1, 2, 4, 8, 16),
    "cuda": (16, 32, 64, 128, 256),
}
"""Batch sizes that are tried, by provider."""

NOISE = 0.03
"""Share by which two measurements of one setting may differ: a smaller gain is none."""

_WARM_UP = 0.25
"""Share of a measurement's time, at its start, that is not counted."""
_ROUNDS = 2
"""Batches for each of the calls side by side that a measurement counts at least."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The settings of ``run`` that decide its speed; None is ``auto``."""

    compute: ComputeOptions
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """A setting, and how fast it was."""

    setting: Setting
    """As it was asked for."""
    took: Setting
    """As it ran: nothing is ``auto`` any more."""
    photos_per_second: float


def sweep(
    model: Path | ModelFile | None,
    photos: Sequence[ImageRef],
    asked: Sequence[ComputeOptions],
    *,
    seconds: float,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Measured]:
    """Measure ``auto`` on each provider, then its batch sizes, then threads for the best.

    Args:
        model: The model file; None: the embedded one.
        photos: What is read, decoded and classified, again and again.
        asked: One for each provider; those that do not run here are skipped.
        seconds: About how long all of it may take.
        note: Is told why a provider is skipped.

    Raises:
        ProviderError: No provider runs here.
        ModelError: The model file is refused.
    """
    until = time.monotonic() + seconds
    least = sum(1 + len(BATCHES[options.provider]) for options in asked) + 5
    each = seconds / least * 0.8  # the rest is for opening sessions

    def tried(setting: Setting) -> Measured | None:
        if time.monotonic() + each > until:
            return None
        try:
            return measure(model, photos, setting, each)
        except ProviderError as error:
            if len(asked) == 1:
                raise
            note(f"not {setting.compute.provider}: {error}")
            return None

    found: list[Measured] = []
    plans: list[Callable[[], list[Setting]]] = [
        lambda: [Setting(options) for options in asked],
        lambda: [
            Setting(replace(options, batch_size=size))
            for options in asked
            if options.provider in {m.took.compute.provider for m in found}
            for size in BATCHES[options.provider]
        ],
        lambda: _other_threads(best(found)) if found else [],
        lambda: [auto(found), best(found)] if found else [],  # once more: machines are noisy
    ]
    for plan in plans:
        for setting in plan():
            if measured := tried(setting):
                found.append(measured)
                yield measured
        if not found:
            names = ", ".join(options.provider for options in asked)
            raise ProviderError(f"none of {names} runs here, or --seconds is short")


def rates(found: Sequence[Measured]) -> dict[Setting, float]:
    """Photos per second by setting, as it ran: the mean where it was measured more than once."""
    by_setting: dict[Setting, list[float]] = {}
    for measured in found:
        by_setting.setdefault(measured.took, []).append(measured.photos_per_second)
    return {setting: sum(values) / len(values) for setting, values in by_setting.items()}


def best(found: Sequence[Measured]) -> Setting:
    """The first setting tried that is as fast as the fastest, give or take the noise."""
    by_setting = rates(found)
    enough = max(by_setting.values()) * (1 - NOISE)
    return next(setting for setting, rate in by_setting.items() if rate >= enough)


def auto(found: Sequence[Measured]) -> Setting:
    """The setting that ``auto`` chose on the provider of the fastest setting."""
    provider = best(found).compute.provider
    return next(m.took for m in found if m.took.compute.provider == provider)


def _other_threads(setting: Setting) -> list[Setting]:
    """The same setting with fewer threads that compute, or more that read and decode."""
    cpus, compute = usable_cpus(), setting.compute
    fewer = [max(1, cpus // 2)] if cpus > 1 and compute.provider != "cuda" else []
    return [
        *(replace(setting, compute=replace(compute, threads=threads)) for threads in fewer),
        *(replace(setting, workers=workers) for workers in sorted({cpus + 1, 2 * cpus})),
    ]


def measure(
    model: Path | ModelFile | None, photos: Sequence[ImageRef], setting: Setting, seconds: float
) -> Measured:
    """Measure one setting for about so many seconds; raises like ``Predictor.open``."""
    predictor = Predictor.open(model, setting.compute)
    plan = ThreadPlan.of(predictor.session, workers=setting.workers, remote=False)
    rate = _rate(Engine(predictor, Reader(), plan, read_timeout=60.0), photos, seconds)
    return Measured(setting, Setting(predictor.session.options, plan.workers), rate)


def _rate(engine: Engine, photos: Sequence[ImageRef], seconds: float) -> float:
    """Photos per second while all threads have work."""
    calls = engine.plan.calls
    begun = counted = last = time.perf_counter()
    warm, until, batches, classified = begun + _WARM_UP * seconds, begun + seconds, 0, 0
    with closing(engine.rows(cycle(photos), Tally())) as results:
        for number, rows in enumerate(results, 1):
            last = time.perf_counter()
            if number <= calls or last < warm:  # the first batches waited for threads to begin
                counted = last
                continue
            batches += 1
            classified += sum(isinstance(row, Prediction) for row in rows)
            if last > until and batches >= _ROUNDS * calls and batches % calls == 0:
                break
    return classified / (last - counted) if classified else 0.0
