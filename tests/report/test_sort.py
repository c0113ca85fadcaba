"""Photos in folders by class: each once, none replaced, originals untouched, all undone."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from buckets import Bucket
from scene_batch.errors import OutputBusyError, OutputError
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.tables.run_table import RunTable
from scene_batch_report.sorting import placing
from scene_batch_report.sorting.folders import Folders, harmless_name
from scene_batch_report.sorting.journal import JOURNAL, Journal, NotSortedError
from scene_batch_report.sorting.sorting import Wish
from scene_batch_report.sorting.undoing import undo
from sorted_photos import sort_into, sorted_tree, table_of, tree
from support import Dies, StepsToDieAt, command, save_photo, scene_batch, started, wait_for

_MOVES = ["link", "copy", "move"]


@pytest.mark.parametrize("how", _MOVES)
def test_each_photo_is_sorted_once_and_undone(how: str, place: Path, colours: Predictor) -> None:
    table, before = table_of(place, colours), tree(place / "photos")
    said = sort_into(table, Wish(place / "sorted", how))
    assert said[0].startswith("8 photos into ")
    found = sorted_tree(place)
    names = {name for name in found if found[name] is not None and not name.endswith(".xmp")}
    assert {name.partition("/")[0] for name in names} == {"red", "green", "blue", "unreadable"}
    numbered = {"red/1.png", "red/2.png", "red/2 (2).png", "red/2 (3).png", "green/1.png"}
    assert numbered | {"unreadable/broken.png"} <= names
    assert len(names) == 8
    if how == "move":
        assert not [name for name, what in tree(place / "photos").items() if what is not None]
        assert found["green/1.png.xmp"] == b"no XMP, and kept"
    else:
        assert tree(place / "photos") == before
        assert not any(name.endswith(".xmp") for name in found)
    if how == "link":
        assert (place / "sorted/blue/1.png").samefile(place / "photos/c/1.png")
    again = sort_into(table, Wish(place / "sorted", how))
    assert again[0].startswith("0 photos")
    assert sorted_tree(place) == found
    undone = undo(place / "sorted", Interruption())
    assert (undone.photos, undone.left) == (8, {})
    assert tree(place / "photos") == before
    assert not (place / "sorted").exists()


def test_a_dry_run_changes_nothing(place: Path, colours: Predictor) -> None:
    table, before = table_of(place, colours), tree(place)
    said = sort_into(table, Wish(place / "sorted", "copy"), dry_run=True)
    assert "blue 2, green 1, red 4, unreadable 1" in said[0]
    assert "8 as copies; room taken: " in said[1]
    assert tree(place) == before


def test_the_less_probable_go_to_unsure(place: Path, colours: Predictor) -> None:
    table = table_of(place, colours)
    sort_into(table, Wish(place / "sorted", min_probability=0.99))
    folders = Counter(name.rpartition("/")[0] for name in sorted_tree(place))
    assert folders == {"": 2, "unsure": 7, "unreadable": 1}


def test_what_lies_there_is_never_replaced_nor_removed(place: Path, colours: Predictor) -> None:
    mine = {"red/1.png": b"mine", "red/notes.txt": b"mine, too", "red/2 (2).png": b"as well"}
    for name, content in mine.items():
        (place / "sorted" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "sorted" / name).write_bytes(content)
    before = tree(place / "sorted")
    table = table_of(place, colours)
    sort_into(table, Wish(place / "sorted"))
    found = sorted_tree(place)
    assert {name: found[name] for name in before if found[name]} == {
        name: what for name, what in before.items() if what
    }
    assert {"red/1 (2).png", "red/2.png", "red/2 (3).png", "red/2 (4).png"} <= set(found)
    undo(place / "sorted", Interruption())
    assert tree(place / "sorted") == before


def _dying(step: int, patch: pytest.MonkeyPatch, call: Callable[[], object]) -> bool:
    """Make a call that dies at its n-th step; False where it has not so many."""
    steps = StepsToDieAt(step)
    for name in ("link", "replace", "rename", "unlink", "rmdir", "mkdir", "symlink", "utime"):
        patch.setattr(os, name, steps.counted(getattr(os, name)))
    patch.setattr(Journal, "_append", steps.counted(Journal._append))
    with suppress(Dies):
        call()
    return steps.taken > step


def _no_links(*_: Any, **__: Any) -> None:
    raise PermissionError(1, "a file system without links")


@pytest.mark.parametrize(
    ("how", "links"), [("link", True), ("move", True), ("move", False), ("copy", False)]
)
def test_killed_at_any_step_it_goes_on_or_is_undone(
    how: str, links: bool, place: Path, colours: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    table, before = table_of(place, colours, limit=5), tree(place / "photos")
    wish = Wish(place / "sorted", how, xmp=True)
    sort_into(table, wish)
    whole = sorted_tree(place)
    undo(place / "sorted", Interruption())
    assert tree(place / "photos") == before
    step, fired = 0, True
    while fired:
        with pytest.MonkeyPatch.context() as patch:
            fired = _dying(step, patch, lambda: sort_into(table, wish))
        if step % 2 and fired:
            with suppress(NotSortedError):
                undo(place / "sorted", Interruption())
            assert tree(place / "photos") == before, step
        sort_into(table, wish)
        assert sorted_tree(place) == whole, step
        with pytest.MonkeyPatch.context() as patch:
            fired |= _dying(step, patch, lambda: undo(place / "sorted", Interruption()))
        with suppress(NotSortedError):  # it was the last step
            undo(place / "sorted", Interruption())
        assert tree(place / "photos") == before, step
        assert {path.name for path in place.iterdir()} <= {
            "photos",
            "p.parquet",
            "p.parquet.run.json",
        }
        step += 1
    assert step > 20


def _lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def _wait_for_lines(journal: Path, process: subprocess.Popen[bytes], more: int) -> None:
    """Wait until so many lines more are there, or all is done."""
    count = _lines(journal) + more
    wait_for(lambda: process.poll() is not None or _lines(journal) > count)


def test_a_process_that_is_killed_goes_on(place: Path, colours: Predictor) -> None:
    for number in range(600):
        save_photo(place / "photos" / "many" / f"{number}.png", "red", (2, 2))
    table, before = table_of(place, colours), tree(place / "photos")
    words = ("sort", table.name, "--to", place / "sorted", "--move")
    journal = place / "sorted" / JOURNAL
    for kill in (signal.SIGKILL, signal.SIGTERM):
        with started(command(*words)) as process:
            _wait_for_lines(journal, process, 40)
            process.send_signal(kill)
            assert process.wait(20) in (-signal.SIGKILL, 143, 0)
    assert scene_batch(*words).returncode == 0
    moved = [name for name, what in sorted_tree(place).items() if what is not None]
    assert len([name for name in moved if not name.endswith(".xmp")]) == 608
    done = scene_batch("sort", "--undo", place / "sorted")
    assert b"608 photos are where they were" in done.stdout
    assert tree(place / "photos") == before


def test_what_was_changed_since_stays(place: Path, colours: Predictor) -> None:
    table = table_of(place, colours)
    (place / "photos" / "c" / "2.png").unlink()
    save_photo(place / "photos" / "b" / "2.png", "blue", (9, 9))
    to = place / "sorted"
    done = scene_batch("sort", table.name, "--to", to, "--copy")
    assert done.returncode == 3
    assert b"left out: 1 changed since the run" in done.stdout
    assert b"left out: 1 gone since the run" in done.stdout
    assert b"not sorted: 1 changed since the run, 1 gone since the run" in done.stderr
    (to / "red" / "1.png").write_bytes(b"edited")
    (place / "photos" / "c" / "1.png").unlink()  # the copy is the only one now
    done = scene_batch("sort", "--undo", to)
    assert done.returncode == 3
    assert b"1.png stays: it, or its original, was changed since" in done.stderr
    assert (to / "red" / "1.png").read_bytes() == b"edited"
    assert (place / "photos" / "c" / "1.png").exists()
    done = scene_batch("sort", table.name, "--to", to, "--copy")
    assert b"is being undone: finish that by sort --undo" in done.stderr
    (to / "red" / "1.png").unlink()
    assert scene_batch("sort", "--undo", to).returncode == 0
    assert not to.exists()


def test_a_file_system_without_links_gets_copies(
    place: Path, colours: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(place, colours)
    monkeypatch.setattr(placing.os, "link", _no_links)
    sort_into(table, Wish(place / "sorted"))
    assert not (place / "sorted/blue/1.png").samefile(place / "photos/c/1.png")
    assert len([name for name, what in sorted_tree(place).items() if what is not None]) == 8


def test_other_tables_processes_and_folders_are_refused(place: Path, colours: Predictor) -> None:
    table, to = table_of(place, colours), place / "sorted"
    sort_into(table, Wish(to))
    with pytest.raises(OutputError, match="by other options: undo them by sort --undo"):
        sort_into(table, Wish(to, "copy"))
    with pytest.raises(OutputError, match="sorted from another table"):
        sort_into(table_of(place, colours, overwrite=True), Wish(to))
    with Journal(to), pytest.raises(OutputBusyError, match="by another process"):
        undo(to, Interruption())
    with pytest.raises(NotSortedError, match="was not made by scene-batch sort"):
        undo(place / "photos", Interruption())
    (to / JOURNAL).write_bytes(b"{}\n")
    with pytest.raises(OutputError, match="damaged"):
        undo(to, Interruption())
    for words in (["x.parquet"], ["--to", "x"], ["x.parquet", "--undo", "x"]):
        assert scene_batch("sort", *words).returncode == 2


def test_photos_of_a_bucket_are_fetched(bucket: Bucket, colours: Predictor, tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "1.png", "blue")
    for name in ("x/a.png", "y/a.png", "y/what?.png"):
        bucket.put(name, photo.read_bytes())
    out = str(tmp_path / "p.parquet")
    run(Job((bucket.url,), out), colours)
    table = RunTable.open(out)
    sort_into(table, Wish(tmp_path / "sorted"))
    found = sorted(name for name, what in sorted_tree(tmp_path).items() if what)
    assert found == ["blue/a (2).png", "blue/a.png", "blue/what_.png"]
    assert (tmp_path / "sorted/blue/a.png").read_bytes() == photo.read_bytes()
    said = sort_into(table, Wish(tmp_path / "other", "move"), dry_run=True)
    assert "left out: 3 in a bucket or on the web, which --move does not change" in said
    undo(tmp_path / "sorted", Interruption())
    assert not (tmp_path / "sorted").exists()


def test_class_names_become_folders_that_every_system_takes() -> None:
    classes = ["a/b", "..", "CON", "Cat", "cat", "unsure", "x.", "a:b", "é" * 200]
    folders = Folders(classes, 0).by_class
    assert [folders[name] for name in classes[:8]] == [
        *("a_b", "_", "_CON", "Cat", "cat (4)", "unsure (5)", "x", "a_b (7)"),
    ]
    kept = ["a/b", "a_b", "Sea shore, sandy, at low tide", "temperate_broadleaf_forest"]
    assert list(Folders(kept, 0).by_class.values()) == ["a_b", *kept[2:], "a_b (0)"]
    assert len(folders["é" * 200].encode()) < 255
    assert harmless_name(".hidden.jpg") == "_.hidden.jpg"
    assert harmless_name("x" * 300 + ".jpg").endswith(".jpg")
