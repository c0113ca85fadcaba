"""Other servers than the one that most tests use: what holds for one must not be its alone."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from buckets import SECRET
from scene_batch.errors import SourceError
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.sources.listing import Listing
from support import wait_for

KEY = "AKIAIOSFODNN7EXAMPLE"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def rclone(aws: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder whose folders are buckets, served by a server that checks signatures."""
    program = shutil.which("rclone") or shutil.which(
        "rclone", path=str(Path(sys.executable).parent)
    )
    if program is None:
        pytest.skip("rclone is not installed on this platform")
    port, root = _free_port(), tmp_path / "served"
    root.mkdir()
    words = ["serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{port}"]
    with subprocess.Popen([program, *words, "--config", "", str(root)]) as process:
        try:
            wait_for(lambda: _listens(port))
            aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            yield root
        finally:
            process.terminate()


def test_a_server_that_checks_signatures(
    rclone: Path, aws: pytest.MonkeyPatch, album: Path, colours: Predictor, tmp_path: Path
) -> None:
    shutil.copytree(album, rclone / "photos" / "al bum")
    (rclone / "tables").mkdir()
    run(Job((str(album),), str(tmp_path / "disk.parquet")), colours)
    run(Job(("s3://photos/al bum",), "s3://tables/out.parquet"), colours)
    assert sorted(path.name for path in (rclone / "tables").iterdir() if path.is_file()) == [
        "out.parquet",
        "out.parquet.run.json",
    ]
    disk, table = (
        pq.read_table(tmp_path / "disk.parquet"),
        pq.read_table(rclone / "tables/out.parquet"),
    )
    for column in ("class", "probability", "top_k", "status", "error", "size_bytes"):
        assert table[column].equals(disk[column])
    assert [path.removeprefix("s3://photos/al bum") for path in table["path"].to_pylist()] == [
        path.removeprefix(str(album)) for path in disk["path"].to_pylist()
    ]
    aws.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SourceError, match=r"no valid credentials|access denied"):
        Listing(["s3://photos/al bum"])
