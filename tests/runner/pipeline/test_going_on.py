"""Continuing is never a mixture: what is saved is held against what is there now."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from buckets import Bucket
from faults import slow_down, some
from scene_batch.errors import LedgerError, StormError, TableError
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.outputs.local_storage import LocalStorage
from scene_batch.pipeline import engine, storm
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.merge import merge
from scene_batch.pipeline.run import run
from scene_batch.records import ImageRef
from scene_batch.sources.reading import Fetched, Reader
from scene_batch.sources.shard import Shard
from support import Watch, break_off, counts, rows_of, save_shade


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a batch of photos: a short run has many."""
    monkeypatch.setattr(saved, "PART_ROWS", 8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Sixty photos in three folders."""
    for number in range(60):
        save_shade(tmp_path / "photos" / f"{number % 3}" / f"{number:02}.png", number)
    return tmp_path / "photos"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are read."""
    names: list[str] = []
    real = Reader.read

    def read(self: Reader, ref: ImageRef) -> Fetched:
        names.append(Path(ref.path).name)
        return real(self, ref)

    monkeypatch.setattr(Reader, "read", read)
    return names


def _fresh(job: Job, colours: Predictor, out: Path) -> Path:
    run(Job(job.sources, str(out), lists_as=job.lists_as), colours)
    return out


def _overwrite(photo: Path, shade: int) -> None:
    """As a camera does that begins anew: another picture, later."""
    then = photo.stat()
    save_shade(photo, shade)
    os.utime(photo, ns=(then.st_atime_ns, then.st_mtime_ns + 1_000_000))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", "/"])
def test_photos_that_have_changed_are_classified_again_and_no_other(
    suffix: str, photos: Path, colours: Predictor, tmp_path: Path, reads: list[str]
) -> None:
    job = Job((str(photos),), f"{tmp_path}/p{suffix}")
    break_off(job, colours, 40)
    changed = ["0/03.png", "0/06.png", "1/13.png"]
    for name in changed:
        _overwrite(photos / name, 250)
    (photos / "0" / "09.png").write_bytes(b"no photo any more")
    del reads[:]
    front = Watch()
    record = run(job, colours, front)
    assert {"03.png", "06.png", "13.png", "09.png"} <= set(reads)
    assert len(reads) <= 60 - 40 + 8 + 4 + colours.session.batch_size
    assert front.notes[0].startswith("continues after ")
    assert front.notes[1:] == ["4 of them were classified again: their photos have changed"]
    assert (record.renewed, record.attempts) == (4, 2)
    assert record.continued_after >= 32
    assert record.unreadable == {"unknown_format": 1}
    if suffix == ".parquet":
        fresh = _fresh(job, colours, tmp_path / "fresh.parquet")
        assert pq.read_table(job.out) == pq.read_table(fresh)
        assert counts(job.out) == counts(fresh)
    elif suffix == ".csv":
        fresh = _fresh(job, colours, tmp_path / "fresh.csv")
        assert Path(job.out).read_bytes() == fresh.read_bytes()
    else:
        assert rows_of(job.out) == rows_of(_fresh(job, colours, tmp_path / "fresh.parquet"))


def test_photos_that_come_and_go_do_not_disturb(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    """What appears before the last saved row is left to an update, rows of what is gone stay."""
    job = Job((str(photos),), f"{tmp_path}/p.parquet")
    before = [row["path"] for row in rows_of(_fresh(job, colours, tmp_path / "fresh.parquet"))]
    break_off(job, colours, 40)
    for name in ("0/00.png", "0/18.png", "1/01.png", "2/59.png"):
        (photos / name).unlink()
    for name in ("0/000.png", "0/19.png", "00/x.png", "2/60.png"):
        save_shade(photos / name, 3)
    _overwrite(photos / "0/21.png", 250)
    record = run(job, colours)
    gone, new = f"{photos}/2/59.png", f"{photos}/2/60.png"
    assert [row["path"] for row in rows_of(job.out)] == [*(p for p in before if p != gone), new]
    assert record.renewed == 1


def test_a_list_is_held_against_its_photos(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    names = [*sorted(photos.rglob("*.png"), key=lambda path: path.name), tmp_path / "later.png"]
    twice = [str(path) for path in (*names, *names)]
    (tmp_path / "list.txt").write_text("\n".join(twice))
    job = Job((str(photos / "1"), f"@{tmp_path}/list.txt", str(photos / "2")), f"{tmp_path}/p.csv")
    break_off(job, colours, 130)
    _overwrite(names[10], 250)
    save_shade(tmp_path / "later.png", 7)
    record = run(job, colours)
    assert Path(job.out).read_bytes() == _fresh(job, colours, tmp_path / "f.csv").read_bytes()
    assert record.renewed >= 4  # twice in the list and in a folder, and the one that was missing


def test_a_bucket_says_what_has_changed_by_its_content(
    bucket: Bucket, photos: Path, colours: Predictor, tmp_path: Path, reads: list[str]
) -> None:
    """The same size in the same second: only the store's tag tells."""
    bucket.fill(photos, "in/")
    job = Job((f"{bucket.url}/in",), f"{bucket.url}/p.parquet")
    break_off(job, colours, 40)
    raw = [(photos / "0" / name).read_bytes() for name in ("00.png", "03.png")]
    bucket.put("in/0/00.png", raw[1][: len(raw[0])].ljust(len(raw[0]), b"\0"))
    del reads[:]
    record = run(job, colours)
    assert "00.png" in reads
    assert record.renewed == 1
    fresh = run(Job(job.sources, f"{bucket.url}/fresh.parquet"), colours)
    assert bucket.table("p.parquet").equals(bucket.table("fresh.parquet"))
    assert fresh.classes == record.classes


def test_a_storm_while_rows_are_renewed_saves_none_of_them(
    bucket: Bucket, photos: Path, colours: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storm, "WINDOW", 8)
    bucket.fill(photos, "in/")
    job = Job((f"{bucket.url}/in",), f"{bucket.url}/p.parquet", read_timeout=1.0)
    break_off(job, colours, 40)
    bucket.fill(photos / "1", "in/0/")  # other photos of other names: nothing of it is saved
    for name in sorted(os.listdir(photos / "0")):
        bucket.put(f"in/0/{name}", (photos / "1" / "01.png").read_bytes())
    bucket.front.decide = some(1.0, slow_down())
    with pytest.raises(StormError):
        run(job, colours)
    bucket.front.decide = lambda request: None
    run(job, colours)
    errors = [row["error"] for row in bucket.table("p.parquet").to_pylist()]
    assert not any(errors)


def test_a_kill_while_a_part_is_renewed(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job((str(photos),), f"{tmp_path}/p.parquet")
    break_off(job, colours, 40)
    for path in photos.rglob("*.png"):
        _overwrite(path, 250)
    real, replaced = LocalStorage.replace, 0

    def replace(self: LocalStorage, name: str, file: Path) -> None:
        nonlocal replaced
        if replaced == 2:
            raise KeyboardInterrupt
        replaced += 1
        real(self, name, file)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalStorage, "replace", replace)
        run(job, colours)
    run(job, colours)
    fresh = _fresh(job, colours, tmp_path / "fresh.parquet")
    assert pq.read_table(job.out) == pq.read_table(fresh)
    assert counts(job.out) == counts(fresh)


def test_another_folder_of_the_same_name_is_another_job(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos, tmp_path / "other" / "photos")
    job = Job(("photos",), f"{tmp_path}/p.parquet")
    monkeypatch.chdir(tmp_path)
    break_off(job, colours, 40)
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(LedgerError, match=r"another where \(then \["):
        run(job, colours)
    monkeypatch.chdir(tmp_path)
    assert run(Job(("./photos//",), job.out), colours).attempts == 2  # the same by another spelling


def test_shards_of_two_folders_of_the_same_name_are_not_merged(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos, tmp_path / "other" / "photos")
    names = [f"{tmp_path}/{index}.parquet" for index in range(2)]
    for index, folder in enumerate((tmp_path, tmp_path / "other")):
        monkeypatch.chdir(folder)
        run(Job(("photos",), names[index], shard=Shard(index, 2)), colours)
    with pytest.raises(TableError, match="differ in their where"):
        merge(names, f"{tmp_path}/merged.parquet")


def test_an_update_that_is_broken_off_counts_what_it_did(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_BATCH_ITEMS", 4)
    out = f"{tmp_path}/p.parquet"
    (photos / "1" / "04.png").write_bytes(b"no photo")
    run(Job((str(photos),), out), colours)
    for name in ("0/00.png", "0/30.png", "2/59.png"):
        (photos / name).unlink()
    for name in ("0/01.png", "1/60.png", "2/70.png", "2/71.png"):
        save_shade(photos / name, 3)
    for name in ("0/03.png", "2/50.png"):
        _overwrite(photos / name, 250)
    job = Job((str(photos),), out, update=True, prune=True, retry_unreadable=True)
    for stop in (10, 45):
        break_off(job, colours, stop)
    record = run(job, colours)
    expected = {"new": 4, "changed": 2, "retried": 1, "kept": 54, "gone": 0, "pruned": 3}
    assert record.update == expected
    assert record.photos == 61
    fresh = _fresh(job, colours, tmp_path / "fresh.parquet")
    assert pq.read_table(out) == pq.read_table(fresh)


def test_a_list_that_changes_while_it_is_read_is_no_table(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    names = tmp_path / "list.txt"
    names.write_text("\n".join(map(str, sorted(photos.rglob("*.png")))))

    def append(_: object) -> None:
        with names.open("a") as file:
            file.write("\nanother.png")

    job = Job((f"@{names}",), f"{tmp_path}/p.parquet")
    with pytest.raises(Exception, match="a list was changed while it was read"):
        run(job, colours, Watch(append))
    assert not Path(job.out).exists()


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "0/p.parquet", "p/"])
def test_a_job_does_not_count_its_own_files_as_ignored(
    name: str, photos: Path, colours: Predictor
) -> None:
    """An output in its own source: at the first run, continued, and again."""
    (photos / "notes.txt").touch()
    job = Job((str(photos),), f"{photos}/{name}", overwrite=True)
    first = run(job, colours)
    break_off(job, colours, 30)
    for record in (first, run(job, colours), run(job, colours)):
        assert (record.photos, record.ignored["other"]) == (60, 1)


def test_a_job_does_not_count_its_own_keys_as_ignored(
    bucket: Bucket, photos: Path, colours: Predictor
) -> None:
    bucket.fill(photos, "in/")
    bucket.put("in/notes.txt", b"x")
    for name in ("in/p.parquet", "in/set/"):
        job = Job((f"{bucket.url}/in",), f"{bucket.url}/{name}", overwrite=True)
        records = [run(job, colours)]
        break_off(job, colours, 30)
        records += [run(job, colours), run(job, colours)]
        bucket.delete(*(key for key in bucket.keys() if key.startswith(name)))
        bucket.delete("in/p.parquet.run.json")
        assert [record.photos for record in records] == [60] * 3
        assert [record.ignored["other"] for record in records] == [1] * 3
