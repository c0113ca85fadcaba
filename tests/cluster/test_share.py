"""A share on a machine, as a task runs it, without a cluster."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from buckets import Bucket
from faults import Fault, Request, slow_down
from scene_batch.model.model_file import sha256
from scene_batch.outputs.shared import SharedOutput, output_of_share
from scene_batch.pipeline.job import Job
from scene_batch.sources.listing import Listing
from scene_batch.sources.span import WHOLE, Span
from scene_batch_cluster.planning import survey
from scene_batch_cluster.share import Order, Outcome, run_share
from support import process_environment, save_shade, scene_batch


@contextmanager
def _order(source: str, out: str, model: Path) -> Iterator[Order]:
    """The order of the only share, whose plan is there within the block."""
    with SharedOutput(out, {"sources": source}) as output:
        output.begin([WHOLE.to_json()])
        share = Job((source,), output_of_share(out, 0), keeps_parts=True, workers=1)
        yield Order(0, 1, share, out, output.run, 30, sha256(model))


def _run(order: Order, model: Path) -> Outcome:
    return run_share(order, model.read_bytes(), lambda tally: None)


def test_two_attempts_of_one_share_alive_at_once_leave_one_table(
    bucket: Bucket, album: Path, colour_model: Path
) -> None:
    bucket.fill(album, "album/")
    go_on, waits = threading.Event(), threading.Event()

    def decide(request: Request) -> Fault | None:
        if request.is_photo and request.number == 0 and request.path.endswith("/00.png"):
            waits.set()
            go_on.wait(30)
        return None

    bucket.front.decide = decide
    with _order(f"{bucket.url}/album", f"{bucket.url}/p/", colour_model) as order:
        outcomes: list[Outcome] = []
        old = threading.Thread(target=lambda: outcomes.append(_run_old(order, colour_model)))
        old.start()
        assert waits.wait(30)
        new = _run(order, colour_model)
        go_on.set()
        old.join()
        again = _run(order, colour_model)
    assert (new.kind, new.photos) == ("done", 30)
    assert outcomes[0].kind == "busy"
    assert (again.kind, again.photos) == ("done", 30)
    parts = [key for key in bucket.keys() if "/part-" in key]
    assert sum(bucket.table(key).num_rows for key in parts) == 30


def _run_old(order: Order, model: Path) -> Outcome:
    """In a thread: signals are the main one's."""
    from scene_batch.errors import OutputBusyError
    from scene_batch.model.predictor import Predictor
    from scene_batch.pipeline.run import run

    try:
        record = run(order.job, Predictor.open(model))
    except OutputBusyError as error:
        return Outcome("busy", "", str(error))
    return Outcome("done", "", photos=record.photos)


def test_an_attempt_whose_job_has_ended_does_nothing(
    bucket: Bucket, album: Path, colour_model: Path
) -> None:
    with _order(str(album), f"{bucket.url}/p/", colour_model) as order:
        pass
    bucket.delete("p.parts/plan.json")
    assert _run(order, colour_model).kind == "busy"
    assert bucket.keys() == []


def test_an_output_that_this_machine_does_not_see_is_refused(
    album: Path, colour_model: Path, tmp_path: Path
) -> None:
    with _order(str(album), f"{tmp_path}/p.parquet", colour_model) as order:
        elsewhere = replace(order, out="/nowhere/p.parquet")
        outcome = _run(elsewhere, colour_model)
    assert outcome.kind == "hopeless"
    assert "must be in a bucket, or in a folder that all machines share" in outcome.cause


def test_a_source_that_this_machine_does_not_see_is_refused(
    colour_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    with _order(f"{tmp_path}/photos", f"{tmp_path}/p.parquet", colour_model) as order:
        span = Span(None, (1, 0, b"x"))
        outcome = _run(replace(order, job=replace(order.job, span=span)), colour_model)
    assert outcome.kind == "hopeless"
    assert "finds none of the 30 photos" in outcome.cause


def test_a_storm_and_another_version_are_told_apart_from_faults_of_a_machine(
    bucket: Bucket, colour_model: Path, tmp_path: Path
) -> None:
    for number in range(120):
        save_shade(tmp_path / f"{number:03}.png", number)
    bucket.fill(tmp_path, "in/")
    bucket.front.decide = lambda request: slow_down() if request.is_photo else None
    with _order(f"{bucket.url}/in", f"{bucket.url}/p/", colour_model) as order:
        job = replace(order.job, read_timeout=1.0)
        assert _run(replace(order, job=job), colour_model).kind == "storm"
        assert _run(replace(order, version="0.0.0"), colour_model).kind == "hopeless"
        assert _run(replace(order, model_sha256="0" * 64), colour_model).kind == "failed"


def test_sources_are_listed_side_by_side_and_once(album: Path) -> None:
    sources = [str(folder) for folder in sorted(album.iterdir())]
    listing = Listing(sources)
    found = survey(listing)
    assert [marks.count for marks in found.marks] == [10, 10, 10]
    cuts = [Span.from_json(share) for share in found.cut(7)]
    shares = [list(Listing(sources, span=span)) for span in cuts]
    assert len(shares) == 7
    assert [ref for share in shares for ref in share] == list(listing)
    assert list(itertools.chain(*found.cut(1)[0]["ignored"].items()))[1] == 0
    limited = survey(Listing(sources), limit=14)
    assert [marks.count for marks in limited.marks] == [10, 4, 0]


@pytest.mark.parametrize("limit", [14, 30])
def test_a_limit_ends_the_last_share(limit: int, album: Path) -> None:
    cuts = survey(Listing([str(album)]), limit).cut(3)
    spans = [Span.from_json(share) for share in cuts]
    assert sum(len(list(Listing([str(album)], span=span))) for span in spans) == limit


def test_without_the_extra_the_command_names_it(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text("raise ModuleNotFoundError(name='ray')")
    roots = process_environment()["PYTHONPATH"]
    done = scene_batch(
        *("distribute", str(tmp_path), "--out", f"{tmp_path}/p.parquet"),
        environment={"PYTHONPATH": f"{tmp_path}:{roots}"},
    )
    assert done.returncode == 1
    assert done.stderr.decode().strip() == (
        "Error: distribute needs ray: pip install 'scene-batch[cluster]'"
    )


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        (".", "-", "many machines write no standard output"),
        ("@-", "p.parquet", "a pipe such as @- can be read once"),
    ],
)
def test_what_many_machines_cannot_do_is_refused(
    source: str, out: str, message: str, tmp_path: Path
) -> None:
    done = scene_batch("distribute", source, "--out", out, cwd=tmp_path, stdin=b"")
    assert done.returncode == 2
    assert message in done.stderr.decode()
