"""Signatures of URLs stay out of a table, and its rows still tell the photos apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import Fault, Request
from front import Front
from scene_batch.errors import OutputError, UsageError
from scene_batch.model.predictor import Predictor
from scene_batch.object_store.address import hidden
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.merge import merge
from scene_batch.pipeline.run import run
from scene_batch.sources.shard import Shard
from support import break_off, rows_of, save_shade, scene_batch

SECRET = "5iGnAtUrE"


def test_rows_without_queries_keep_order_identity_and_shards(
    colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scene_batch.outputs.saved.PART_ROWS", 3)
    photo = save_shade(tmp_path / "x.png", 3).read_bytes()

    def decide(request: Request) -> Fault:
        return Fault(200, content=photo) if SECRET in request.query else Fault(403)

    with Front(decide=decide) as front:
        lines = [f"{front.url}/{n % 3}.png?sig={SECRET}{n}#x" for n in range(12)]
        lines += [str(tmp_path / "x.png"), f"{front.url}/plain.png", f"http://me:{SECRET}@h/x.png"]
        (tmp_path / "list.txt").write_text("\n".join(lines))
        source = (f"@{tmp_path}/list.txt",)
        out = tmp_path / "p.parquet"
        break_off(Job(source, str(out), hide_queries=True), colours, 6)
        for file in (tmp_path / "p.parquet.parts").iterdir():
            assert SECRET.encode() not in file.read_bytes()
        record = run(Job(source, str(out), hide_queries=True), colours)
        names = []
        for index in range(2):
            names.append(str(tmp_path / f"{index}.parquet"))
            job = Job(source, names[-1], hide_queries=True, shard=Shard(index, 2))
            run(job, colours)
    assert (record.photos, record.ok, record.attempts) == (15, 13, 2)
    paths = [row["path"] for row in rows_of(out)]
    assert paths == [hidden(line) for line in lines]
    assert len(set(paths)) == 15
    assert paths[0].startswith(f"{front.url}/0.png?sha256:")
    assert paths[12:14] == lines[12:14]
    for file in tmp_path.glob("*.parquet*"):
        assert SECRET.encode() not in file.read_bytes()
    merge(names, str(tmp_path / "m.parquet"))
    assert rows_of(tmp_path / "m.parquet") == rows_of(out)
    with pytest.raises(UsageError, match="--hide-queries: rows without their queries cannot"):
        run(Job(source, str(out), hide_queries=True, retry_unreadable=True), colours)
    with pytest.raises(OutputError, match="was made with --hide-queries"):
        run(Job(source, str(out), retry_unreadable=True), colours)


def test_a_signature_is_not_said_where_it_was_not_meant_to_be(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/x.parquet?X-Amz-Signature=SEKRET"
    for words in (["run", tmp_path, "--out", url], ["doctor", "--folder", url]):
        done = scene_batch(*words)
        assert done.returncode in (1, 2)
        assert b"SEKRET" not in done.stderr + done.stdout
