"""``--update``, ``--prune`` and ``--retry-unreadable``: the table of a fresh run, for less work."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buckets import Bucket
from scene_batch.errors import OutputError, UsageError
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.sources.reading import Reader
from scene_batch.sources.selection import Selection
from support import break_off, rows_of, save_colour_model, save_photo, save_shade, scene_batch


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(24):
        save_shade(tmp_path / "photos" / f"f{number % 4}" / f"{number:02}.png", number)
    (tmp_path / "photos" / "f1" / "05.png").write_bytes(b"no photo yet")
    return tmp_path / "photos"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are read."""
    names: list[str] = []
    real = Reader.read

    def read(reader: Reader, ref: Any) -> Any:
        names.append(Path(ref.path).name)
        return real(reader, ref)

    monkeypatch.setattr(Reader, "read", read)
    return names


def _update(photos: Path, out: Path, predictor: Predictor, **more: Any) -> list[dict[str, Any]]:
    run(Job((str(photos),), str(out), update=True, **more), predictor)
    return rows_of(out)


def _change(photos: Path) -> None:
    """One new, one changed, one gone, in the middle of the others."""
    save_shade(photos / "f1" / "035.png", 77)
    save_photo(photos / "f2" / "10.png", "blue")
    (photos / "f0" / "08.png").unlink()


def test_an_update_is_the_table_of_a_fresh_run(
    photos: Path, colours: Predictor, tmp_path: Path, reads: list[str]
) -> None:
    out, fresh = tmp_path / "p.parquet", tmp_path / "fresh.parquet"
    _update(photos, out, colours)  # nothing there yet: a first run
    _change(photos)
    del reads[:]
    updated = _update(photos, out, colours, prune=True)
    assert sorted(reads) == ["035.png", "10.png"]
    run(Job((str(photos),), str(fresh)), colours)
    assert updated == rows_of(fresh)
    assert _update(photos, out, colours) == updated


def test_rows_of_photos_that_are_gone_stay_in_their_place_without_prune(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    before = {row["path"]: row for row in _update(photos, out, colours)}
    gone = f"{photos}/f0/08.png"
    _change(photos)
    rows = _update(photos, out, colours)
    paths = [row["path"] for row in rows]
    assert paths == sorted(paths)
    assert {row["path"]: row for row in rows}[gone] == before[gone]
    shutil.rmtree(photos / "f3")
    assert [row["path"] for row in _update(photos, out, colours)] == paths
    assert gone not in [row["path"] for row in _update(photos, out, colours, prune=True)]


def test_retry_classifies_only_what_was_unreadable(
    photos: Path, colours: Predictor, tmp_path: Path, reads: list[str]
) -> None:
    out = tmp_path / "p.parquet"
    before = _update(photos, out, colours)
    stamp = (photos / "f1" / "05.png").stat()
    save_photo(photos / "f1" / "05.png", "lime")
    save_shade(photos / "f0" / "new.png", 3)
    del reads[:]
    run(Job((str(photos),), str(out), retry_unreadable=True), colours)
    after = rows_of(out)
    assert reads == ["05.png"]
    assert [row["path"] for row in after] == [row["path"] for row in before]
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [(row["path"], row["class"]) for row in changed] == [(f"{photos}/f1/05.png", "green")]
    assert stamp.st_size != changed[0]["size_bytes"]


def test_an_unchanged_unreadable_photo_is_left_alone_without_retry(
    photos: Path, colours: Predictor, tmp_path: Path, reads: list[str]
) -> None:
    out = tmp_path / "p.parquet"
    _update(photos, out, colours)
    save_shade(photos / "f0" / "new.png", 3)
    del reads[:]
    _update(photos, out, colours)
    assert reads == ["new.png"]
    save_shade(photos / "f0" / "newer.png", 3)
    del reads[:]
    _update(photos, out, colours, retry_unreadable=True)
    assert sorted(reads) == ["05.png", "newer.png"]


def test_a_retry_of_a_list_keeps_its_order_and_doubles(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    late = photos / "late.png"
    names = tmp_path / "list.txt"
    names.write_text(f"{late}\n{photos}/f1/01.png\n{late}\n{photos}/f0/00.png\n")
    out = tmp_path / "p.parquet"
    run(Job((f"@{names}",), str(out)), colours)
    assert [row["status"] for row in rows_of(out)] == ["unreadable", "ok", "unreadable", "ok"]
    save_photo(late, "blue")
    run(Job((f"@{names}",), str(out), retry_unreadable=True), colours)
    rows = rows_of(out)
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert [Path(row["path"]).name for row in rows] == ["late.png", "01.png", "late.png", "00.png"]


@pytest.mark.parametrize("stops", [[3], [11], [24], [2, 9, 17, 23]])
@pytest.mark.parametrize("how", ["update", "retry"])
def test_an_update_that_is_broken_off_continues(
    stops: list[int],
    how: str,
    photos: Path,
    colours: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saved, "PART_ROWS", 2)
    monkeypatch.setattr("scene_batch.pipeline.engine.MAX_BATCH_ITEMS", 2)
    out, other = tmp_path / "p.parquet", tmp_path / "other.parquet"
    _update(photos, out, colours)
    _change(photos)
    save_photo(photos / "f1" / "05.png", "lime")
    shutil.copy2(out, other)
    more = {"update": True, "prune": True} if how == "update" else {"retry_unreadable": True}
    run(Job((str(photos),), str(other), **more), colours)
    old = out.read_bytes()
    for stop in stops:
        break_off(Job((str(photos),), str(out), **more), colours, stop)
        assert out.read_bytes() == old
    assert run(Job((str(photos),), str(out), **more), colours).attempts > 1
    assert rows_of(out) == rows_of(other)


_NAMES = st.sets(st.text(st.sampled_from("ab-/é"), min_size=1, max_size=5), max_size=10)


@settings(max_examples=25, deadline=None)
@given(first=_NAMES, second=_NAMES)
def test_any_two_states_of_a_folder(
    first: set[str], second: set[str], colours: Predictor, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("state")
    photos, out = folder / "photos", folder / "p.parquet"
    save_shade(photos / "always.png", 1)

    def fill(names: set[str]) -> None:
        for old in photos.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.name == "always.png" or old.unlink()
        for number, name in enumerate(sorted(names)):
            path = Path(f"{photos}/{name}x.png")
            if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
                save_shade(path, number)

    fill(first)
    _update(photos, out, colours)
    fill(second)
    rows = _update(photos, out, colours, prune=True)
    run(Job((str(photos),), str(folder / "fresh.parquet")), colours)
    assert rows == rows_of(folder / "fresh.parquet")


def test_a_source_below_another_by_a_link_that_is_not_followed(
    colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.png", "a/2.png", "other/3.png", "other/4.png"):
        save_shade(tmp_path / name, 3)
    (tmp_path / "a" / "zz").symlink_to("../other")
    job = Job(("a", "a/zz"), "p.parquet", selection=Selection(follow_links=False))
    run(job, colours)
    for _ in range(2):
        record = run(replace(job, update=True), colours)
        assert record.update is not None
        assert (record.photos, record.update["kept"]) == (4, 4)


def test_names_that_are_not_utf_8_are_found_again(
    photos: Path, colours: Predictor, tmp_path: Path, reads: list[str]
) -> None:
    for name in (b"caf\xe9.png", b"caf\xea.png", b"z\\xe9.png"):
        source = os.fsencode(photos / "f0" / "00.png")
        shutil.copy2(source, os.fsencode(photos) + b"/" + name)
    out = tmp_path / "p.parquet"
    before = _update(photos, out, colours)
    del reads[:]
    after = _update(photos, out, colours)
    assert [row["path"] for row in after] == [row["path"] for row in before]
    assert "caf\udce9.png" not in reads


def test_rows_of_another_kind_are_not_mixed(
    photos: Path, colours: Predictor, colour_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    _update(photos, out, colours)
    before = out.read_bytes()
    other = Predictor.open(save_colour_model(tmp_path / "m.onnx", version="2.0.0"))
    with pytest.raises(OutputError, match=r"made with another model \(colours 1\.0\.0, sha256"):
        _update(photos, out, other)
    for change, words in (
        ({"provider": "openvino"}, "by openvino in fp32: take --provider cpu, or"),
        ({"precision": "bf16"}, "by cpu in bf16: take --provider cpu without --bf16, or"),
    ):
        session = replace(colours.session, **change)
        with pytest.raises(OutputError, match=f"was made by cpu in fp32, this run is {words}"):
            _update(photos, out, replace(colours, session=session))
    with pytest.raises(OutputError, match="has a top-k of 3, not 1"):
        _update(photos, out, Predictor.open(colour_model, top_k=1))
    with pytest.raises(OutputError, match="which is in none of the sources"):
        _update(photos / "f1", out, colours)
    assert out.read_bytes() == before


def test_what_cannot_be_updated_is_refused(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    names = tmp_path / "list.txt"
    names.write_text(f"{photos}/f1/01.png\n")
    (tmp_path / "foreign.parquet").write_bytes(b"PAR1")
    for job, words in (
        (Job((str(photos),), str(tmp_path / "p.csv"), update=True), "need a .parquet"),
        (Job((str(photos),), str(tmp_path / "p.parquet"), update=True, limit=3), "would lose rows"),
        (Job((f"@{names}",), str(tmp_path / "p.parquet"), update=True), "is a list"),
    ):
        with pytest.raises(UsageError, match=words):
            run(job, colours)
    with pytest.raises(OutputError, match=r"there is no .* yet"):
        run(Job((str(photos),), str(tmp_path / "p.parquet"), retry_unreadable=True), colours)
    with pytest.raises(OutputError, match="is not a Parquet table or data set"):
        _update(photos, tmp_path / "foreign.parquet", colours)


def test_an_order_that_is_not_the_sources_is_refused(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    """Rows that do not rise would be taken for gone and for new: doubled."""
    out, one, two = str(tmp_path / "p.parquet"), str(photos / "f1"), str(photos / "f2")
    run(Job((one, two), out), colours)
    with pytest.raises(OutputError, match="is not in the order of these sources"):
        run(Job((two, one), out, update=True), colours)
    names = tmp_path / "list.txt"
    names.write_text(f"{one}/05.png\n{one}/01.png\n")
    run(Job((f"@{names}",), out, overwrite=True), colours)
    with pytest.raises(OutputError, match="is not in the order of these sources"):
        run(Job((one,), out, update=True), colours)
    with pytest.raises(OutputError, match="was made from @"):
        run(Job((one,), out, retry_unreadable=True), colours)


@pytest.mark.parametrize(
    "options", [["--overwrite", "--update"], ["--overwrite", "--retry-unreadable"], ["--prune"]]
)
def test_options_that_contradict_each_other(options: list[str], photos: Path) -> None:
    done = scene_batch("run", photos, "--out", "p.parquet", *options)
    assert done.returncode == 2


def test_here_and_a_bucket_are_told_apart(
    bucket: Bucket, photos: Path, colours: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.fill(photos / "f0", "in/")
    monkeypatch.chdir(photos)
    job = Job((".", f"{bucket.url}/in"), "../p.parquet", update=True)
    first = run(job, colours)
    again = run(job, colours)
    assert (again.photos, again.photos_per_source) == (first.photos, [24, 6])
    paths = pq.read_table("../p.parquet")["path"].to_pylist()
    assert len(set(paths)) == len(paths) == 30


def test_a_literal_escape_in_a_bucket_is_found_again(
    bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    bucket.put(r"lit/caf\xe9.png", save_shade(tmp_path / "x.png", 1).read_bytes())
    job = Job((f"{bucket.url}/lit",), f"{tmp_path}/p.parquet", update=True)
    for _ in range(3):
        assert run(job, colours).photos == 1


def test_a_retry_records_the_list_that_its_rows_come_from(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"{photos}/f1/05.png\n{photos}/f0/00.png\n")
    job = Job((f"@{names}",), f"{tmp_path}/p.parquet")
    first = run(job, colours)
    names.write_text(f"{photos}/f0/00.png\n")
    again = run(Job(job.sources, job.out, retry_unreadable=True), colours)
    assert again.settings["lists"] == first.settings["lists"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_table_is_refused_in_one_line(
    data: st.DataObject, photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    if not (tmp_path / "sound").exists():
        _update(photos, out, colours)
        (tmp_path / "sound").write_bytes(out.read_bytes())
    content = bytearray((tmp_path / "sound").read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    begin = data.draw(st.integers(footer, len(content) - 1) | st.integers(0, len(content) - 1))
    more = data.draw(st.binary(min_size=1, max_size=40))
    content[begin : begin + len(more)] = more
    out.write_bytes(content)
    if bytes(content) != (tmp_path / "sound").read_bytes():
        with pytest.raises(OutputError, match=r"^[^\n]*; replace it with --overwrite$"):
            _update(photos, out, colours)
