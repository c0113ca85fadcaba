"""Which threads do what, which stage held a run up, and what would have helped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scene_batch.pipeline import advice, thread_plan
from scene_batch.pipeline.advice import bottleneck, hint
from scene_batch.pipeline.thread_plan import ThreadPlan


def _session(
    provider: str = "cpu", calls: int | None = None, *, threads: int = 4, note: str = ""
) -> Any:
    """As ``Session`` is on four processors."""
    best = {"cpu": threads, "openvino": threads + 1, "cuda": 2}
    return SimpleNamespace(
        provider=provider, calls=calls or best[provider], threads=threads, note=note
    )


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (advice, thread_plan):
        monkeypatch.setattr(module, "usable_cpus", lambda: 4)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def test_one_pool_does_it_all_where_the_processor_computes() -> None:
    plan = ThreadPlan.of(_session(), workers=None, remote=False)
    assert plan == ThreadPlan(4, None, 4, shared=True)
    assert plan.threads() == {"list": 1, "read": 4, "decode": 4, "infer": 4, "write": 1}


@pytest.mark.parametrize(
    ("provider", "calls", "workers"), [("cuda", 2, None), ("openvino", 5, None), ("cpu", 4, 9)]
)
def test_calls_that_only_wait_have_threads_of_their_own(
    provider: str, calls: int, workers: int | None
) -> None:
    plan = ThreadPlan.of(_session(provider, calls), workers=workers, remote=False)
    assert plan == ThreadPlan(workers or 4, None, calls, shared=False)


def test_photos_of_a_network_have_readers_of_their_own() -> None:
    plan = ThreadPlan.of(_session(), workers=None, remote=True)
    assert (plan.readers, plan.shared) == (32, True)
    assert plan.threads()["read"] == 32


def _stages(seconds: float = 100.0, **busy: tuple[int, float]) -> dict[str, dict[str, float]]:
    """Stages by (threads, share of the time in which they were busy)."""
    every = dict.fromkeys(("list", "read", "decode", "infer", "write"), (1, 0.01)) | busy
    return {
        stage: {
            "threads": threads,
            "busy_seconds": threads * seconds * share,
            "waiting_seconds": threads * seconds * (1 - share),
        }
        for stage, (threads, share) in every.items()
    }


@pytest.mark.parametrize(
    ("busy", "provider", "slowest", "words"),
    [
        ({"read": (4, 0.9), "infer": (4, 0.2)}, "cpu", "read", "--workers 16"),
        ({"read": (32, 0.9)}, "cpu", "read", ""),
        ({"decode": (2, 0.9), "infer": (4, 0.6)}, "cuda", "decode", "--workers auto"),
        ({"decode": (4, 0.9)}, "cuda", "decode", ""),
        ({"infer": (4, 0.95)}, "cpu", "infer", "scene-batch[openvino]"),
        ({"infer": (4, 0.95)}, "openvino", "infer", ""),
        ({"infer": (2, 0.95)}, "cuda", "infer", ""),
        ({"list": (1, 0.8)}, "cpu", "list", ""),
        ({"write": (1, 0.8)}, "cpu", "write", ""),
        ({"decode": (4, 0.5), "infer": (4, 0.4)}, "cpu", "decode", ""),
        ({"decode": (4, 0.4), "infer": (4, 0.5)}, "cpu", "infer", "scene-batch[openvino]"),
        ({"decode": (4, 0.4), "infer": (5, 0.5)}, "openvino", "infer", ""),
        ({"read": (4, 0.5), "decode": (4, 0.4)}, "cuda", "read", "--workers 16"),
    ],
)
def test_the_busiest_stage_is_the_bottleneck_and_a_setting_is_named_where_one_helps(
    busy: Any, provider: str, slowest: str, words: str
) -> None:
    stages = _stages(**busy)
    assert bottleneck(stages) == slowest
    plan = ThreadPlan.of(_session(provider), workers=None, remote=busy.get("read", (4,))[0] > 4)
    said = hint(plan, stages, slowest, _session(provider))
    assert words in said
    assert bool(words) == bool(said)


@pytest.mark.parametrize(
    ("flavour", "words"),
    [
        ("onnxruntime", "pip uninstall -y onnxruntime && pip install 'scene-batch[openvino]'"),
        ("onnxruntime-openvino", "--provider openvino is mostly faster"),
        ("onnxruntime-gpu", ""),
    ],
)
def test_what_is_installed_already_need_not_be_installed(
    flavour: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "installed_flavours", lambda: [flavour])
    monkeypatch.setattr("scene_batch.model.runtime.installed_flavours", lambda: [flavour])
    session = _session()
    plan = ThreadPlan.of(session, workers=None, remote=False)
    assert hint(plan, _stages(infer=(4, 0.95)), "infer", session).endswith(words)


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (_session(threads=2), "--threads auto"),
        (_session("openvino", threads=3), "--threads auto"),
        (_session(calls=1), "--batch-size auto"),
        (_session("openvino", calls=2), "--batch-size auto"),
        (_session(note="not openvino: no"), ""),
        (_session("openvino"), ""),
    ],
)
def test_what_would_help_the_model(session: Any, words: str) -> None:
    plan = ThreadPlan.of(session, workers=None, remote=False)
    said = hint(plan, _stages(infer=(session.calls, 0.95)), "infer", session)
    assert said.endswith(words)
    assert bool(words) == bool(said)


def test_a_short_run_needs_no_advice() -> None:
    stages = _stages(5.0, infer=(4, 0.95))
    plan = ThreadPlan.of(_session(), workers=None, remote=False)
    assert hint(plan, stages, "infer", _session()) == ""
