"""A cluster and a bucket for all tests that leave them whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from buckets import Bucket, empty_bucket, give_keys
from clusters import SmallCluster, small_cluster
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@pytest.fixture(scope="session")
def photo_bucket(
    moto: WSGIApplication, album: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bucket]:
    """A bucket with the album in it, to which the environment leads, that of nodes, too."""
    with pytest.MonkeyPatch.context() as patch:
        give_keys(patch, tmp_path_factory.mktemp("aws"))
        with empty_bucket(moto, patch) as bucket:
            bucket.fill(album, "album/")
            yield bucket


@pytest.fixture
def calm_bucket(photo_bucket: Bucket) -> Iterator[Bucket]:
    """The same, without faults before and behind a test."""
    photo_bucket.front.decide = lambda request: None
    yield photo_bucket
    photo_bucket.front.decide = lambda request: None


@pytest.fixture(scope="session")
def machines(photo_bucket: Bucket) -> Iterator[SmallCluster]:
    """A head without CPUs and two nodes of one."""
    with small_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def album_rows(
    photo_bucket: Bucket, colours: Predictor, tmp_path_factory: pytest.TempPathFactory
) -> pa.Table:
    """The table that one machine makes of the album in the bucket."""
    out = tmp_path_factory.mktemp("alone") / "p.parquet"
    run(Job((f"{photo_bucket.url}/album",), str(out)), colours)
    return pq.read_table(out)
