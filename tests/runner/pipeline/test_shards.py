"""Laws of shards: each photo is in one of them, and merged they are the table of one run."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buckets import Bucket
from scene_batch.errors import OutputError, SourceError, TableError, UsageError
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.merge import merge
from scene_batch.pipeline.run import run
from scene_batch.sources.shard import Shard
from scene_batch.tables.seal import SEAL_KEY, UNSEALED, seal
from support import save_colour_model, save_shade, scene_batch


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(40):
        save_shade(tmp_path / "photos" / f"{number % 4}" / f"{number:02}.png", number)
    (tmp_path / "photos" / "1" / "05.png").write_bytes(b"no photo")
    (tmp_path / "photos" / "notes.txt").write_bytes(b"x")
    name = os.fsencode(tmp_path / "photos") + b"/caf\xe9.png"
    shutil.copy(tmp_path / "photos" / "0" / "00.png", name)
    return tmp_path / "photos"


def _shards(
    sources: tuple[str, ...], folder: Path | str, predictor: Predictor, count: int = 3
) -> list[str]:
    names = []
    for index in range(count):
        names.append(f"{folder}/s{index}.parquet")
        run(Job(sources, names[-1], shard=Shard(index, count)), predictor)
    return names


def _whole(sources: tuple[str, ...], out: Path, predictor: Predictor) -> Path:
    run(Job(sources, str(out)), predictor)
    return out


@given(st.binary(min_size=1, max_size=30).filter(lambda b: b"\0" not in b), st.integers(1, 9))
def test_a_photo_is_in_the_shard_of_its_paths_crc32(path: bytes, count: int) -> None:
    name = os.fsdecode(path)
    holders = [index for index in range(count) if Shard(index, count).holds(name)]
    assert holders == [zlib.crc32(path) % count]


@pytest.mark.parametrize("count", [1, 2, 3, 60])
def test_shards_merged_are_the_table_of_one_run(
    count: int, photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    sources = (str(photos),)
    names = _shards(sources, tmp_path, colours, count)
    rows = [pq.read_metadata(name).num_rows for name in names]
    assert sum(rows) == 41
    assert count < 60 or 0 in rows
    record = merge(names[::-1], str(tmp_path / "merged.parquet"))
    whole = _whole(sources, tmp_path / "whole.parquet", colours)
    merged = pq.read_table(tmp_path / "merged.parquet")
    assert merged.equals(pq.read_table(whole))
    assert merged["class"].combine_chunks().dictionary.to_pylist() == list(colours.card.classes)
    theirs = json.loads(Path(f"{whole}.run.json").read_text())
    for name in ("photos", "photos_per_source", "ok", "unreadable", "ignored", "classes", "model"):
        assert json.loads(record.to_json())[name] == theirs[name]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_merge_writes_every_format(
    suffix: str, photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    sources = (str(photos),)
    merge(_shards(sources, tmp_path, colours), str(tmp_path / f"merged{suffix}"))
    whole = _whole(sources, tmp_path / f"whole{suffix}", colours)
    assert (tmp_path / f"merged{suffix}").read_bytes() == whole.read_bytes()


def test_lists_and_several_sources_keep_their_order(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    lines = sorted((str(path) for path in photos.rglob("*.png")), key=hash)
    lines = [*lines[:9], f"{photos}/gone.png", *lines[:4], ""]  # unsorted, doubled, missing, blank
    (tmp_path / "list.txt").write_bytes(os.fsencode("\n".join(lines)))
    single = f"{photos}/3/11.png"
    sources = (f"{photos}/2", f"@{tmp_path}/list.txt", single, f"{photos}/1")
    names = _shards(sources, tmp_path, colours)
    merge(names, str(tmp_path / "merged.parquet"))
    whole = _whole(sources, tmp_path / "whole.parquet", colours)
    assert pq.read_table(tmp_path / "merged.parquet").equals(pq.read_table(whole))
    (tmp_path / "list.txt").write_bytes(os.fsencode("\n".join(lines[::-1])))
    with pytest.raises(TableError, match=r"the list @.* has changed"):
        merge(names, str(tmp_path / "again.parquet"))
    (tmp_path / "list.txt").unlink()
    with pytest.raises(SourceError, match="no such list"):
        merge(names, str(tmp_path / "again.parquet"))


def test_shards_in_a_bucket_and_as_data_sets(
    bucket: Bucket,
    photos: Path,
    colours: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saved, "PART_ROWS", 8)
    bucket.fill(photos / "0", "in/")
    bucket.fill(photos / "1", "in/1/")
    sources = (f"{bucket.url}/in",)
    names = [
        f"{bucket.url}/s0.parquet",
        f"{bucket.url}/s1/",
        f"{tmp_path}/s2/",
        f"{tmp_path}/3.parquet",
    ]
    for index, name in enumerate(names):
        run(Job(sources, name, shard=Shard(index, 4)), colours)
    merge(names, f"{bucket.url}/merged.parquet")
    (tmp_path / "merged.parquet").write_bytes(bucket.get("merged.parquet"))
    whole = _whole(sources, tmp_path / "whole.parquet", colours)
    assert pq.read_table(tmp_path / "merged.parquet").equals(pq.read_table(whole))
    with pytest.raises(TableError, match=r"not found|no table"):
        merge([*names[:3], f"{bucket.url}/gone.parquet"], str(tmp_path / "x.parquet"))


def test_what_is_no_whole_is_refused(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    sources, out = (str(photos),), str(tmp_path / "merged.parquet")
    names = _shards(sources, tmp_path, colours)
    with pytest.raises(TableError, match="shards are missing: 1/3"):
        merge([names[0], names[2]], out)
    with pytest.raises(TableError, match=r"shard 1/3 is there twice: '.*s1.parquet'"):
        merge([*names, names[1]], out)
    whole = _whole(sources, tmp_path / "whole.parquet", colours)
    with pytest.raises(TableError, match=r"is not the table of a shard \(run --shard I/N\)"):
        merge([*names[:2], str(whole)], out)
    (tmp_path / "foreign.parquet").write_bytes(b"PAR1")
    with pytest.raises(TableError, match="is not a Parquet table or data set"):
        merge([*names, str(tmp_path / "foreign.parquet")], out)
    with pytest.raises(TableError, match="no table"):
        merge([*names[:2], str(tmp_path / "gone.parquet")], out)
    run(Job(sources, f"{tmp_path}/of-two.parquet", shard=Shard(0, 2)), colours)
    with pytest.raises(TableError, match=r"shards of different numbers: \[2, 3\]"):
        merge([*names, f"{tmp_path}/of-two.parquet"], out)
    assert not Path(out).exists()


def test_shards_of_different_jobs_are_refused(
    photos: Path, colours: Predictor, colour_model: Path, tmp_path: Path
) -> None:
    sources, out = (str(photos),), str(tmp_path / "merged.parquet")
    names = _shards(sources, tmp_path, colours)
    others = {
        "top_k": (Predictor.open(colour_model, ComputeOptions("cpu"), top_k=1), sources, None),
        "model's version": (
            Predictor.open(
                save_colour_model(tmp_path / "m.onnx", version="2.0.0"), ComputeOptions("cpu")
            ),
            sources,
            None,
        ),
        "precision": (
            replace(colours, session=replace(colours.session, precision="bf16")),
            sources,
            None,
        ),
        "sources": (colours, (f"{photos}/1",), None),
        "limit": (colours, sources, 3),
    }
    for number, (name, (predictor, theirs, limit)) in enumerate(others.items()):
        other = f"{tmp_path}/other{number}.parquet"
        run(Job(theirs, other, shard=Shard(2, 3), limit=limit), predictor)
        with pytest.raises(TableError, match=f"differ in their {name}"):
            merge([*names[:2], other], out)
    cut = [f"{tmp_path}/cut{index}.parquet" for index in range(3)]
    for index, name in enumerate(cut):
        run(Job(sources, name, shard=Shard(index, 3), limit=2), colours)
    with pytest.raises(TableError, match="cut by --limit"):
        merge(cut, out)


def _altered(name: str, rows: pa.Table, to: Path) -> str:
    """A shard's table with other rows, and its record."""
    metadata = pq.read_metadata(name).metadata
    with pq.ParquetWriter(to, rows.schema.remove_metadata()) as writer:
        writer.write_table(rows.replace_schema_metadata(None))
        record = metadata[b"scene_batch.run"].decode()
        writer.add_key_value_metadata({"scene_batch.run": record, SEAL_KEY: UNSEALED})
    seal(to)
    return str(to)


def test_rows_that_are_not_the_shards_own_are_refused(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    names = _shards((str(photos),), tmp_path, colours)
    table, other = pq.read_table(names[0]), pq.read_table(names[1])
    last = len(table) - 1
    cases = {
        "is there twice, or a shard": table.take([0, *range(last)]),
        "is there twice, or a shard is not in order": table.take([1, 0, *range(2, last + 1)]),
        "which is another shard's": pa.concat_tables([table[:last], other[:1]]),
        f"holds {last} rows, its record says {last + 1}": table[:last],
    }
    for number, (message, rows) in enumerate(cases.items()):
        altered = _altered(names[0], rows, tmp_path / f"altered{number}.parquet")
        with pytest.raises(TableError, match=message):
            merge([altered, *names[1:]], str(tmp_path / "merged.parquet"))
    with pytest.raises(UsageError, match="which is read"):
        merge(names, names[0], overwrite=True)


def test_records_that_are_no_runs_are_refused(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    (name,) = _shards((str(photos),), tmp_path, colours, 1)
    for number, record in enumerate(("{}", "[]", "5", "no json")):
        table = pq.read_table(name).replace_schema_metadata(None)
        to = tmp_path / f"odd{number}.parquet"
        with pq.ParquetWriter(to, table.schema) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({"scene_batch.run": record})
        with pytest.raises(TableError, match="is not a Parquet table or data set"):
            merge([str(to)], str(tmp_path / "merged.parquet"))


def test_names_with_a_literal_escape_are_merged_without_their_photos(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    for name in (r"a\xe9.png", r"b\xff\xfe.png", r"c\x20.png"):
        save_shade(photos / name, 3)
    names = _shards((str(photos),), tmp_path, colours)
    whole = _whole((str(photos),), tmp_path / "whole.parquet", colours)
    photos.rename(tmp_path / "elsewhere")
    merge(names, str(tmp_path / "merged.parquet"))
    merged = pq.read_table(tmp_path / "merged.parquet")
    assert sorted(merged["path"].to_pylist()) == sorted(pq.read_table(whole)["path"].to_pylist())


def test_an_older_copy_below_a_data_set_in_a_bucket_is_not_of_it(
    bucket: Bucket, photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    for index in range(2):
        run(Job((str(photos),), f"{bucket.url}/s{index}/", shard=Shard(index, 2)), colours)
    bucket.put("s0/z-old/part-000000.parquet", b"an older copy")
    merge([f"{bucket.url}/s{index}/" for index in range(2)], str(tmp_path / "merged.parquet"))
    whole = _whole((str(photos),), tmp_path / "whole.parquet", colours)
    assert pq.read_table(tmp_path / "merged.parquet").equals(pq.read_table(whole))


def test_a_merge_that_is_broken_off_continues(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved, "PART_ROWS", 4)
    monkeypatch.setattr("scene_batch.pipeline.merge._ROWS_AT_A_TIME", 4)
    sources, out = (str(photos),), tmp_path / "merged.parquet"
    names = _shards(sources, tmp_path, colours)
    whole = saved.SavedOutput.write
    calls = []

    def write(output: saved.SavedOutput, rows: list[object]) -> None:
        calls.append(rows)
        if len(calls) == 5:
            raise KeyboardInterrupt
        whole(output, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(saved.SavedOutput, "write", write)
    with pytest.raises(KeyboardInterrupt):
        merge(names, str(out))
    assert not out.exists()
    merge(names, str(out))
    assert len(calls) < 5 + 11
    monkeypatch.setattr(saved.SavedOutput, "write", whole)
    table = _whole(sources, tmp_path / "whole.parquet", colours)
    assert pq.read_table(out).equals(pq.read_table(table))


def test_shard_numbers_come_from_the_option_or_from_the_environment() -> None:
    assert Shard.parse("2/3", {}) == Shard(2, 3)
    for name in ("AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX"):
        assert Shard.parse("auto/3", {name: "1"}) == Shard(1, 3, is_automatic=True)
    for wrong in ("3/3", "-1/3", "1", "a/b", "1/0", "auto", "1/3/4", "", "1.5/3"):
        with pytest.raises(UsageError, match="--shard"):
            Shard.parse(wrong, {})
    with pytest.raises(UsageError, match="neither AWS_BATCH_JOB_ARRAY_INDEX nor JOB_COMPLETION"):
        Shard.parse("auto/3", {})
    with pytest.raises(UsageError, match="the index 3 is not from 0 to 2"):
        Shard.parse("auto/3", {"JOB_COMPLETION_INDEX": "3"})


@pytest.mark.parametrize(
    ("out", "named"),
    [
        ("preds.parquet", "preds-00001-of-00003.parquet"),
        ("a.b/preds.x.csv", "a.b/preds.x-00001-of-00003.csv"),
        ("s3://b/out/", "s3://b/out-00001-of-00003/"),
        ("out/", "out-00001-of-00003/"),
        ("-", "-"),
    ],
)
def test_an_automatic_shard_has_its_own_name(out: str, named: str) -> None:
    assert Shard(1, 3, is_automatic=True).output_name(out) == named
    assert Shard(1, 3).output_name(out) == out


def test_shards_by_the_command_line(photos: Path, colour_model: Path, tmp_path: Path) -> None:
    words = ["run", photos, "--out", tmp_path / "p.parquet", "--model", colour_model]
    words += ["--max-unreadable", "100%", "--shard"]
    for index in range(3):
        environment = {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)}
        done = scene_batch(*words, "auto/3", environment=environment)
        assert done.returncode == 0, done.stderr
    shards = sorted(str(path) for path in tmp_path.glob("p-0*.parquet"))
    assert [Path(path).name for path in shards] == [f"p-0000{n}-of-00003.parquet" for n in range(3)]
    done = scene_batch("merge", *shards, "--out", tmp_path / "p.parquet")
    assert done.returncode == 0
    assert b"41 rows; 1 unreadable" in done.stderr
    done = scene_batch("merge", *shards[1:], "--out", tmp_path / "q.parquet")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert scene_batch(*words, "3/3").returncode == 2
    assert scene_batch(*words, "").returncode == 2
    assert scene_batch(*words, "auto/3").returncode == 2


def test_another_shard_does_not_continue_or_update_this_one(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    out = str(tmp_path / "p.parquet")
    run(Job((str(photos),), out, shard=Shard(0, 2)), colours)
    with pytest.raises(OutputError, match="holds shard 0/2, not 1/2"):
        run(Job((str(photos),), out, shard=Shard(1, 2), update=True), colours)
    before = pq.read_table(out)
    run(Job((str(photos),), out, shard=Shard(0, 2), update=True), colours)
    assert pq.read_table(out).equals(before)


def test_an_empty_shard_is_an_empty_table_but_no_photo_is_an_error(
    colours: Predictor, tmp_path: Path
) -> None:
    save_shade(tmp_path / "photos" / "only.png", 1)
    sources = (str(tmp_path / "photos"),)
    index = zlib.crc32(os.fsencode(tmp_path / "photos" / "only.png")) % 2
    for name in ("empty.parquet", "empty.csv", "empty/"):
        assert (
            run(Job(sources, f"{tmp_path}/{name}", shard=Shard(1 - index, 2)), colours).photos == 0
        )
    columns = pq.read_schema(tmp_path / "empty.parquet").names
    assert pq.read_table(tmp_path / "empty").schema.names == columns
    (tmp_path / "photos" / "only.png").unlink()
    with pytest.raises(SourceError, match="no photo"):
        run(Job(sources, f"{tmp_path}/x.parquet", shard=Shard(0, 2)), colours)
