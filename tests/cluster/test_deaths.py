"""Whatever dies meanwhile, the table is right, or the command says what to do."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from buckets import Bucket
from clusters import Driver, SmallCluster, kill_a_task, small_cluster, tasks, texts, words
from faults import Fault, Request, slow_down
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import save_shade, wait_for

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

PHOTOS = 300


@pytest.fixture(scope="module")
def many(
    photo_bucket: Bucket, colours: Predictor, tmp_path_factory: pytest.TempPathFactory
) -> pa.Table:
    """Three hundred photos in the bucket, below many/, and one machine's table of them."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(PHOTOS):
        save_shade(folder / "photos" / f"{number:03}.png", number)
    photo_bucket.fill(folder / "photos", "many/")
    run(Job((f"{photo_bucket.url}/many",), str(folder / "p.parquet")), colours)
    return pq.read_table(folder / "p.parquet")


@pytest.fixture
def slow_bucket(calm_bucket: Bucket) -> Bucket:
    """The bucket, whose photos take their time: a share of 150 some ten seconds."""
    calm_bucket.front.decide = _slow
    return calm_bucket


def _slow(request: Request) -> Fault | None:
    return Fault(delay=2.0) if request.is_photo else None


@pytest.fixture
def two(machines: SmallCluster) -> Iterator[SmallCluster]:
    """The cluster, with two nodes before a test, whatever the last one has killed."""
    while len(machines.nodes) < 2:
        machines.nodes.append(machines.add())
    yield machines


def _words(cluster: SmallCluster, bucket: Bucket, out: str, model: Path, *more: str) -> list[str]:
    arguments = (f"{bucket.url}/many", "--out", f"{bucket.url}/{out}", "--model", str(model))
    return [*words(cluster, *arguments, *(more or ("--shares", "2")))]


def _saved(bucket: Bucket, out: str) -> set[int]:
    """The shares that have saved something."""
    keys = [key for key in bucket.keys() if key.startswith(f"{out.rstrip('/')}.parts/share-")]
    return {int(key.partition("share-")[2][:6]) for key in keys if "/part-" in key}


def _ends_well(driver: Driver, bucket: Bucket, out: str, rows: pa.Table) -> dict[str, Any]:
    code, lines = driver.end(300)
    assert code == 0, texts(lines)
    assert bucket.table(out).equals(rows)
    assert not [key for key in bucket.keys() if key.startswith(f"{out.rstrip('/')}.parts")]
    record = "set/_run.json" if out == "set/" else f"{out}.run.json"
    found: dict[str, Any] = json.loads(bucket.get(record))
    return found


def test_a_node_is_killed_in_mid_share(
    two: SmallCluster, slow_bucket: Bucket, many: pa.Table, colour_model: Path
) -> None:
    with Driver(_words(two, slow_bucket, "node.parquet", colour_model)) as driver:
        wait_for(lambda: len(_saved(slow_bucket, "node.parquet")) == 2, 120)
        two.kill(two.nodes.pop())
        record = _ends_well(driver, slow_bucket, "node.parquet", many)
    assert sorted(share["attempts"] for share in record["shares"]) == [1, 2]


def test_a_worker_is_killed(
    two: SmallCluster, slow_bucket: Bucket, many: pa.Table, colour_model: Path
) -> None:
    with Driver(_words(two, slow_bucket, "worker.parquet", colour_model)) as driver:
        wait_for(lambda: len(_saved(slow_bucket, "worker.parquet")) == 2, 120)
        kill_a_task()
        record = _ends_well(driver, slow_bucket, "worker.parquet", many)
    assert sorted(share["attempts"] for share in record["shares"]) == [1, 2]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_driver_is_ended_and_the_same_command_goes_on(
    how: signal.Signals, two: SmallCluster, slow_bucket: Bucket, many: pa.Table, colour_model: Path
) -> None:
    out = f"driver-{how.name}.parquet"
    with Driver(_words(two, slow_bucket, out, colour_model)) as driver:
        wait_for(lambda: len(_saved(slow_bucket, out)) == 2, 120)
        driver.process.send_signal(how)
        if how == signal.SIGINT:
            code, lines = driver.end(60)
            assert code == 130, texts(lines)
            assert tasks() == []
        else:
            driver.process.wait()
    asked = len(slow_bucket.front.photos)
    with Driver(_words(two, slow_bucket, out, colour_model)) as driver:
        _ends_well(driver, slow_bucket, out, many)
    assert len(slow_bucket.front.photos) - asked <= PHOTOS - 8


def test_a_poisonous_share_stops_the_job_and_the_others_are_kept(
    two: SmallCluster, calm_bucket: Bucket, many: pa.Table, colour_model: Path
) -> None:
    """A photo of the first share kills whoever asks for it; the second is done meanwhile."""

    def decide(request: Request) -> Fault | None:
        if request.is_photo and request.path.endswith("/000.png"):
            wait_for(lambda: _done(calm_bucket, "poison.parquet") == {1}, 120)
            kill_a_task()
        return None

    calm_bucket.front.decide = decide
    arguments = _words(two, calm_bucket, "poison.parquet", colour_model)
    with Driver([*arguments, "--shares", "2", "--attempts", "2"]) as driver:
        code, lines = driver.end(300)
    assert code == 1
    error = str(lines[-1]["text"])
    assert "share 0 has failed 2 times: its process was killed, or crashed" in error
    assert "the same command continues" in error
    calm_bucket.front.decide = lambda request: None
    asked = len(calm_bucket.front.photos)
    with Driver([*arguments, "--shares", "2", "--attempts", "2"]) as driver:
        _ends_well(driver, calm_bucket, "poison.parquet", many)
    assert len(calm_bucket.front.photos) - asked == PHOTOS // 2


def _done(bucket: Bucket, out: str) -> set[int]:
    keys = [key for key in bucket.keys() if key.startswith(f"{out}.parts/share-")]
    return {int(key.partition("share-")[2][:6]) for key in keys if "finished.json" in key}


def test_a_node_that_comes_late_takes_part(
    two: SmallCluster, slow_bucket: Bucket, many: pa.Table, colour_model: Path
) -> None:
    two.kill(two.nodes.pop())
    arguments = _words(two, slow_bucket, "set/", colour_model, "--shares", "4")
    with Driver(arguments) as driver:
        wait_for(lambda: _saved(slow_bucket, "set/"), 120)
        assert len(tasks()) == 1  # of one CPU, though more are waiting
        two.nodes.append(two.add())
        wait_for(lambda: len(tasks()) == 2, 120)
        _ends_well(driver, slow_bucket, "set/", many)


def test_an_old_attempt_is_alive_when_its_share_is_tried_again(
    two: SmallCluster, slow_bucket: Bucket, many: pa.Table, colour_model: Path, tmp_path: Path
) -> None:
    """What speaks for a node is stopped: the cluster takes the node for dead, its worker lives."""
    out = tmp_path / "old.parquet"
    arguments = words(
        two, f"{slow_bucket.url}/many", "--out", out, "--model", colour_model, "--shares", "2"
    )
    with Driver(arguments) as driver:
        wait_for(lambda: len(list(tmp_path.glob("old.parquet.parts/share-*/part-*"))) >= 2, 120)
        node = two.nodes.pop()
        os.kill(two.raylet(node), signal.SIGSTOP)
        code, lines = driver.end(300)
    os.kill(two.raylet(node), signal.SIGCONT)
    two.kill(node)
    assert code == 0, texts(lines)
    assert pq.read_table(out).equals(many)
    assert "share" in texts(lines)


def test_the_head_dies(
    slow_bucket: Bucket, many: pa.Table, colour_model: Path, two: SmallCluster
) -> None:
    with small_cluster(1) as other:
        with Driver(_words(other, slow_bucket, "head.parquet", colour_model)) as driver:
            wait_for(lambda: _saved(slow_bucket, "head.parquet"), 120)
            other.kill_head()
            code, lines = driver.end(200)
        assert code == 1, texts(lines)
        assert "the same command continues" in str(lines[-1]["text"])
    with Driver(_words(two, slow_bucket, "head.parquet", colour_model)) as driver:
        _ends_well(driver, slow_bucket, "head.parquet", many)


def test_a_storm_in_one_share_holds_the_others_back_and_passes(
    two: SmallCluster, calm_bucket: Bucket, many: pa.Table, colour_model: Path
) -> None:
    """The store refuses all photos until the command says that shares wait."""
    calm = threading.Event()
    calm_bucket.front.decide = lambda request: (
        slow_down() if request.is_photo and not calm.is_set() else None
    )
    more = ("--shares", "2", "--read-timeout", "2s")
    arguments = _words(two, calm_bucket, "storm.parquet", colour_model, *more)
    with Driver(arguments) as driver:
        said = []
        for line in driver.process.stdout or ():
            said.append(line.decode())
            if "no share begins for" in said[-1]:
                break
        asked = len(calm_bucket.front.photos)
        calm.set()
        record = _ends_well(driver, calm_bucket, "storm.parquet", many)
    assert any("photos could not be read" in line for line in said)
    assert record["unreadable"] == {}
    assert len(calm_bucket.front.photos) > asked
