"""What decided a run's speed, and which setting would have made it faster."""

from __future__ import annotations

import platform
from collections.abc import Mapping

from scene_batch.model.runtime import how_to_install, installed_flavours
from scene_batch.model.session import Session
from scene_batch.pipeline.thread_plan import REMOTE_READERS, ThreadPlan
from scene_batch.processors import usable_cpus

_WORTH_SAYING = 10.0
"""Seconds: a shorter run needs no advice."""
_BUSY = 0.6
"""A stage whose threads are busy for this share of the time holds up the others."""


def share_busy(stage: Mapping[str, float]) -> float:
    """How busy a stage's threads were, 0 to 1."""
    whole = stage["busy_seconds"] + stage["waiting_seconds"]
    return stage["busy_seconds"] / whole if whole else 0.0


def bottleneck(stages: Mapping[str, Mapping[str, float]]) -> str:
    """The stage that decided the speed: the one whose threads were busiest."""
    return max(stages, key=lambda stage: share_busy(stages[stage]))


def hint(
    plan: ThreadPlan, stages: Mapping[str, Mapping[str, float]], slowest: str, session: Session
) -> str:
    """The setting that would make another run like this faster; empty where none is known."""
    threads, cpus = int(stages[slowest]["threads"]), usable_cpus()
    seconds = stages["list"]["busy_seconds"] + stages["list"]["waiting_seconds"]
    busy = sum(share_busy(stages[stage]) for stage in plan.sharing(slowest))
    if seconds < _WORTH_SAYING or busy < _BUSY:
        return ""
    if slowest == "read" and threads < REMOTE_READERS:
        return (
            f"more photos would be read at once with --workers {min(4 * threads, REMOTE_READERS)}"
        )
    if slowest == "decode" and threads < cpus:
        return f"{cpus} processors could decode: --workers auto"
    if slowest == "infer" and session.provider != "cuda":
        return _hint_for_the_model(session, cpus)
    return ""


def _hint_for_the_model(session: Session, cpus: int) -> str:
    """The hint for a model on a processor."""
    if session.threads < cpus:
        return f"{cpus} processors could compute: --threads auto"
    if session.calls < session.threads:
        return "batches are too large for all threads: --batch-size auto"
    flavours = installed_flavours()
    may_have_openvino = platform.machine() == "x86_64" and "onnxruntime-gpu" not in flavours
    if session.provider != "cpu" or session.note or not may_have_openvino:  # a note: it was refused
        return ""
    if "onnxruntime-openvino" in flavours:
        return "on x86 --provider openvino is mostly faster"
    return f"on x86 the provider openvino is mostly faster: {how_to_install('openvino')}"
