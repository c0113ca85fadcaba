"""Runs over photos in buckets and on the web: the rows of the disk, whatever the line."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from buckets import SECRET, Bucket
from faults import CUT, Fault, Request, slow_down, some
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import Watch, command, rows_of, save_shade, started, wait_for

COLUMNS = ["class", "probability", "top_k", "status", "error", "size_bytes"]


@pytest.fixture
def filled(bucket: Bucket, album: Path) -> Bucket:
    """The album in a bucket, and its thirty photos three times."""
    for folder in ("a", "b", "c"):
        bucket.fill(album, f"album/{folder}/")
    return bucket


def _from_disk(album: Path, tmp_path: Path, predictor: Predictor) -> list[dict[str, Any]]:
    for folder in ("a", "b", "c"):
        (tmp_path / "album").mkdir(exist_ok=True)
        (tmp_path / "album" / folder).symlink_to(album)
    run(Job((str(tmp_path / "album"),), str(tmp_path / "disk.parquet")), predictor)
    return rows_of(tmp_path / "disk.parquet")


def test_a_bucket_behind_a_bad_line_gives_the_rows_of_the_disk(
    filled: Bucket, album: Path, colours: Predictor, tmp_path: Path
) -> None:
    busy, cut = some(0.08, slow_down()), some(0.04, CUT, seed=3)
    filled.front.decide = lambda request: busy(request) or cut(request)
    record = run(Job((f"{filled.url}/album",), str(tmp_path / "p.parquet")), colours)
    disk = _from_disk(album, tmp_path, colours)
    rows = rows_of(tmp_path / "p.parquet")
    assert [[row[name] for name in COLUMNS] for row in rows] == [
        [row[name] for name in COLUMNS] for row in disk
    ]
    prefixes = [(f"{filled.url}/album", str(tmp_path / "album"))]
    for remote, local in prefixes:
        assert [r["path"].removeprefix(remote) for r in rows] == [
            r["path"].removeprefix(local) for r in disk
        ]
    assert all(row["modified_at"] for row in rows)
    assert record.retries == len(filled.front.photos) - 90 > 5


def test_without_faults_each_photo_is_asked_for_once(
    filled: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    record = run(Job((f"{filled.url}/album",), str(tmp_path / "p.parquet")), colours)
    assert record.retries == 0
    assert sorted({r.path for r in filled.front.photos}) == sorted(
        r.path for r in filled.front.photos
    )
    assert len(filled.front.photos) == 90


def test_many_photos_are_on_their_way_at_once(
    filled: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    filled.front.decide = lambda request: Fault(delay=0.2) if request.is_photo else None
    run(Job((f"{filled.url}/album",), str(tmp_path / "p.parquet"), workers=1), colours)
    assert 16 <= filled.front.most_at_once <= 34


@pytest.mark.parametrize("listed", [True, False])
def test_large_photos_are_not_all_in_memory(
    listed: bool, bucket: Bucket, colour_model: Path, tmp_path: Path
) -> None:
    """Photos of 12 MB; the front counts those that were begun and not done."""
    photo = save_shade(tmp_path / "photo.png", 1).read_bytes() + bytes(12 << 20)
    names = [f"in/{number:02}.png" for number in range(24)]
    for name in names:
        bucket.put(name, photo)
    (tmp_path / "list.txt").write_text("\n".join(f"{bucket.url}/{name}" for name in names))
    bucket.front.decide = lambda request: Fault(delay=0.1) if request.is_photo else None
    source = f"{bucket.url}/in" if listed else f"@{tmp_path}/list.txt"
    predictor = Predictor.open(colour_model, ComputeOptions("cpu", batch_size=1))
    begun: list[int] = []

    def watch(tally: Tally) -> None:
        begun.append(len(bucket.front.photos) - tally.rows)

    record = run(Job((source,), str(tmp_path / "p.parquet"), workers=1), predictor, Watch(watch))
    assert record.ok == 24
    assert bucket.front.most_at_once <= 128 // 12 + listed  # the listing is one, too
    decoded = predictor.session.calls + 2  # small by now
    assert max(begun) <= 128 // 12 + decoded


def test_lists_mix_local_paths_and_urls(bucket: Bucket, colours: Predictor, tmp_path: Path) -> None:
    photo = save_shade(tmp_path / "local.png", 3)
    bucket.put("x y.png", photo.read_bytes())
    bucket.publish("x y.png")
    web = f"{bucket.front.url}/{bucket.name}/x%20y.png"
    lines = [
        str(photo),
        f"{bucket.url}/x y.png",
        web,
        f"{web}?versionId=null&sig=a%2Fb",
        f"{bucket.url}/gone.png",
        f"{bucket.url}/a//b.png",
        "ftp://server/x.png",
        "http://127.0.0.1:9/x.png",
    ]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    job = Job((f"@{tmp_path}/list.txt",), str(tmp_path / "p.parquet"), read_timeout=2)
    run(job, colours)
    rows = rows_of(tmp_path / "p.parquet")
    assert [row["path"] for row in rows] == lines
    assert [row["status"] for row in rows] == ["ok"] * 4 + ["unreadable"] * 4
    assert {row["probability"] for row in rows[:4]} == {rows[0]["probability"]}
    assert {row["size_bytes"] for row in rows[:4]} == {photo.stat().st_size}
    codes = [row["error"].partition(":")[0] for row in rows[4:]]
    assert codes == ["missing", "missing", "bad_path", "fetch_failed"]
    assert "versionId=null&sig=a%2Fb" in {request.query for request in bucket.front.photos}


def test_lines_that_lead_nowhere_are_rows_and_no_end(
    bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    bucket.put("lead.png", b"x")
    lines = [
        "s3://Bucket Name/x.jpg",
        "s3://<b>/x.jpg",
        f"{bucket.url}//lead.png",
        f"{bucket.url}/lead.png/",
        f"{bucket.url}/new\x0bline.png",
        f"http://h/{'x' * 70_000}.jpg",
        "http://[bad/x.jpg",
        "s3://",
        "HTTPS://me:hunter2@host/x.jpg",
        f"s3://b/x.jpg?X-Amz-Signature={SECRET}",
    ]
    (tmp_path / "list.csv").write_text("\n".join(["path", *(f'"{line}"' for line in lines)]))
    run(Job((f"@{tmp_path}/list.csv",), str(tmp_path / "p.parquet"), read_timeout=2), colours)
    rows = rows_of(tmp_path / "p.parquet")
    assert [row["path"] for row in rows] == lines
    codes = [row["error"].partition(":")[0] for row in rows]
    strange = ["missing", "not_a_file", "missing"]
    assert codes == ["bad_path"] * 2 + strange + ["bad_path"] * 5
    assert not any("hunter2" in row["error"] or SECRET in row["error"] for row in rows)
    assert len(bucket.front.photos) == 2


def test_a_photo_of_the_web_is_a_source(
    bucket: Bucket, album: Path, colours: Predictor, tmp_path: Path
) -> None:
    url = f"{bucket.front.url}/{bucket.name}/a.png?sig={SECRET}"
    bucket.put("a.png", (album / "day0" / "00.png").read_bytes())
    bucket.publish("a.png")
    run(Job((url,), str(tmp_path / "p.parquet")), colours)
    (row,) = rows_of(tmp_path / "p.parquet")
    assert (row["path"], row["status"]) == (url, "ok")
    assert SECRET not in (tmp_path / "p.parquet.run.json").read_text()


SILENCES = {
    "the first question": lambda r: True,
    "a page": lambda r: "continuation" in r.query,
    "a marker": lambda r: r.method == "HEAD" and r.path.endswith(".png"),
    "photos": lambda r: r.is_photo,
}


@pytest.fixture(scope="module")
def ended(
    shared_bucket: Bucket, colour_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[int, float]]:
    """Exit codes of runs that a SIGTERM met in a silence, and the seconds that they took to end."""
    folder = tmp_path_factory.mktemp("silences")
    photo = save_shade(folder / "x.png", 5).read_bytes()
    buckets = {f"{shared_bucket.name}-{number}": name for number, name in enumerate(SILENCES)}
    front = shared_bucket.front

    def is_silent(request: Request) -> bool:
        return SILENCES[buckets[request.path.split("/")[1]]](request)

    def end(name: str) -> tuple[int, float]:
        words = ["run", f"s3://{name}/in", "--out", folder / f"{name}.parquet"]
        words += ["--model", colour_model, "--quiet"]
        with started(command(*words)) as process:
            wait_for(lambda: any(is_silent(r) for r in front.requests if f"/{name}" in r.path))
            time.sleep(0.5)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            return process.wait(20), time.monotonic() - begun

    for name in buckets:
        bucket = Bucket.make(name, front)
        for number in range(1100):
            bucket.put(f"in/{number:04}.png", photo if number != 30 else b"")
    front.decide = lambda request: Fault(delay=60) if is_silent(request) else None
    with ThreadPoolExecutor(len(buckets)) as threads:
        return dict(zip(SILENCES, threads.map(end, buckets), strict=True))


@pytest.mark.parametrize("name", SILENCES)
def test_sigterm_is_heard_while_a_store_is_silent(
    name: str, ended: dict[str, tuple[int, float]]
) -> None:
    code, seconds = ended[name]
    assert code == 143
    assert seconds < 15
