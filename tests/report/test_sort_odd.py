"""Sorting and undoing among what users do meanwhile: no photo is lost, and none is forgotten."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scene_batch.errors import OutputBusyError, OutputError
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.tables.run_table import RunTable
from scene_batch_report.sorting.journal import JOURNAL, Header, Journal
from scene_batch_report.sorting.sorting import Wish, sort
from scene_batch_report.sorting.undoing import Undone, undo
from sorted_photos import sort_into, sorted_tree, table_of, tree
from support import save_photo

_PHOTOS = 8


def _undo(folder: Path) -> Undone:
    return undo(folder, Interruption())


def _contents(place: Path) -> list[bytes]:
    """Of all photos, wherever they are, links left out."""
    files = (path for path in place.rglob("*") if not path.is_symlink() and path.is_file())
    return sorted(f.read_bytes() for f in files if f.suffix == ".png")


def _links_left_behind(place: Path) -> None:
    for photo in [*(place / "sorted").rglob("*.png")]:
        original = next(iter((place / "photos").rglob(photo.name)), place / "photos" / photo.name)
        original.unlink(missing_ok=True)
        original.symlink_to(photo)


def _source_becomes_a_link(place: Path) -> None:
    shutil.rmtree(place / "photos" / "c")
    (place / "photos" / "c").symlink_to(place / "sorted" / "blue")


def _sorted_takes_its_place(place: Path) -> None:
    shutil.rmtree(place / "photos")
    (place / "sorted").rename(place / "photos")


@pytest.mark.parametrize(
    "meanwhile", [_links_left_behind, _source_becomes_a_link, _sorted_takes_its_place]
)
@pytest.mark.parametrize("how", ["link", "copy", "move"])
def test_undo_never_removes_the_only_one(
    how: str, meanwhile: Callable[[Path], None], place: Path, colours: Predictor
) -> None:
    table, before = table_of(place, colours), set(_contents(place / "photos"))
    sort_into(table, Wish(place / "sorted", how))
    meanwhile(place)
    _undo(place / ("sorted" if (place / "sorted").exists() else "photos"))
    assert set(_contents(place)) == before


@pytest.mark.parametrize("how", ["copy", "move", "link"])
def test_a_finished_sorting_touches_nothing_new(how: str, place: Path, colours: Predictor) -> None:
    table = table_of(place, colours)
    sort_into(table, Wish(place / "sorted", how))
    new = [
        save_photo(place / "photos" / name, "white") for name in ("c/1.png", "c/2.png", "a/1.png")
    ]
    after = _contents(place)
    sort_into(table, Wish(place / "sorted", how))
    assert _contents(place) == after
    assert all(photo.exists() for photo in new)


def test_the_last_photo_is_not_forgotten_when_originals_go(place: Path, colours: Predictor) -> None:
    table, before = table_of(place, colours), tree(place / "photos")
    sort_into(table, Wish(place / "sorted"))
    shutil.rmtree(place / "photos")
    sort_into(table, Wish(place / "sorted"))
    assert _undo(place / "sorted").photos == _PHOTOS
    del before["b/1.png.xmp"]
    assert tree(place / "photos") == before


def test_one_of_two_that_begin_at_once_is_refused(place: Path) -> None:
    header = Header("0", {}, made=False)
    (place / "sorted").mkdir()
    with Journal.begin(place / "sorted", header), pytest.raises(OutputBusyError):
        Journal.begin(place / "sorted", header)
    with pytest.raises(OutputBusyError):
        Journal.begin(place / "sorted", header)
    with Journal.begin(place / "new", Header("0", {}, made=True)), pytest.raises(OutputBusyError):
        Journal.begin(place / "new", Header("0", {}, made=True))


def test_dots_behind_a_link_lead_where_the_system_leads(
    place: Path, colours: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(place / "disk" / "photos" / "a.png", "blue")
    (place / "disk" / "deep").mkdir()
    other = save_photo(place / "cwd" / "photos" / "a.png", "red")
    (place / "cwd" / "link").symlink_to("../disk/deep")
    monkeypatch.chdir(place / "cwd")
    run(Job(("link/../photos",), "p.parquet"), colours)
    sort_into(RunTable.open("p.parquet"), Wish(place / "sorted", "move"))
    assert other.exists()
    assert not (place / "disk/photos/a.png").exists()
    assert (place / "sorted/blue/a.png").exists()


def test_undo_leaves_what_is_in_the_way_and_goes_on(place: Path, colours: Predictor) -> None:
    long = save_photo(place / "photos" / "a" / f"{'x' * 236}.png", "red")
    table = table_of(place, colours)
    sort_into(table, Wish(place / "sorted", "move"))
    shutil.rmtree(place / "photos" / "c")
    (place / "photos" / "c").write_text("a file now")
    undone = _undo(place / "sorted")
    assert (undone.photos, undone.left_count) == (_PHOTOS + 1 - 2, 2)
    assert long.exists()
    assert set(undone.left) == {"blue/1.png", "red/2 (3).png"}
    (place / "photos" / "c").unlink()
    assert _undo(place / "sorted").left_count == 0
    assert not (place / "sorted").exists()


def test_an_emptied_original_and_a_damaged_line_stop_no_undo(
    place: Path, colours: Predictor
) -> None:
    sort_into(table_of(place, colours), Wish(place / "sorted", "copy"))
    (place / "photos" / "a" / "1.png").write_bytes(b"")
    with (place / "sorted" / JOURNAL).open("ab") as file:
        file.write(bytes(100) + b"\n")
    (place / ".sorted.scene-batch-undone").mkdir()  # what a kill at the very end leaves
    undone = _undo(place / "sorted")
    assert (undone.photos, undone.left) == (_PHOTOS, {})
    assert b"" not in _contents(place)  # it has its bytes again


def test_between_two_mounts_of_a_disk_a_move_is_a_copy(
    place: Path, colours: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_link, real_replace = os.link, os.replace

    def is_across(one: Any, other: Any) -> bool:
        return ("/sorted/" in os.fspath(one)) != ("/sorted/" in os.fspath(other))

    def link(one: Any, other: Any, **more: Any) -> None:
        if is_across(one, other):
            raise OSError(errno.EXDEV, "across")
        real_link(one, other, **more)

    def replace(one: Any, other: Any) -> None:
        if is_across(one, other):
            raise OSError(errno.EXDEV, "across")
        real_replace(one, other)

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "replace", replace)
    table, before = table_of(place, colours), tree(place / "photos")
    (place / "photos" / "b" / "1.png.xmp").chmod(0o600)
    sort_into(table, Wish(place / "sorted", "move"))
    assert len(_contents(place / "sorted")) == _PHOTOS
    assert not _contents(place / "photos")
    assert b"" not in _contents(place / "sorted")
    assert (place / "sorted/green/1.png.xmp").stat().st_mode & 0o777 == 0o600
    assert _undo(place / "sorted").left_count == 0
    assert tree(place / "photos") == before
    assert (place / "photos/b/1.png.xmp").stat().st_mode & 0o777 == 0o600


def test_what_is_left_out_is_counted(place: Path, colours: Predictor) -> None:
    (place / "photos" / "a" / "link.png").symlink_to("../b/1.png")
    lines = [f"{place}/photos/{name}" for name in ("a/1.png", "a/link.png", "c/2.png", "a/1.png")]
    (place / "l.txt").write_text("\n".join(lines))
    run(Job((f"@{place / 'l.txt'}",), str(place / "p.parquet")), colours)
    said: list[str] = []
    found = sort(
        RunTable.open(str(place / "p.parquet")), Wish(place / "sorted", "move"), said.append,
        Interruption(),
    )  # fmt: skip
    assert found.left == {
        "a symbolic link, which --move leaves": 1,
        "gone since the run": 1,  # the same photo a second time
    }
    assert said[-1] == "sorted: 2 moved"
    assert (place / "photos/a/link.png").is_symlink()


def test_photos_that_have_their_place_already_stay(place: Path, colours: Predictor) -> None:
    save_photo(place / "photos" / "red" / "here.png", "red")
    table = table_of(place, colours)
    said = sort_into(table, Wish(place / "photos", "move"))
    assert "1 were there already" in said[-1]
    assert (place / "photos" / "red" / "here.png").exists()
    with pytest.raises(OutputError, match="is no folder; name another one"):
        sort_into(table, Wish(place / "p.parquet"))


def test_long_names_are_cut_where_a_number_is_added(place: Path, colours: Predictor) -> None:
    for folder in ("a", "b"):
        save_photo(place / "photos" / folder / f"{'x' * 247}.png", "red")
    table = table_of(place, colours)
    sort_into(table, Wish(place / "sorted"))
    assert len([name for name in sorted_tree(place) if "xxx" in name]) == 2
