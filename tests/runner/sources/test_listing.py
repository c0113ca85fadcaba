"""What is found, in what order, under which names."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scene_batch.errors import SourceError, SourceNotFoundError, UsageError
from scene_batch.records import Unreadable
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import read
from scene_batch.sources.selection import Selection
from support import save_photo


def _touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def _paths(*sources: str | Path) -> list[str]:
    return [ref.path for ref in Listing([os.fspath(source) for source in sources])]


_NAMES = st.text(st.sampled_from("ab-.0é/ "), min_size=1, max_size=6).map(lambda s: f"x{s}.jpg")


@settings(max_examples=40, deadline=None)
@given(st.sets(_NAMES, max_size=12))
def test_every_photo_comes_once_and_sorted_bytewise(names: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = set()
        for name in names:
            parts = [part for part in name.split("/") if part and not part.startswith(".")]
            path = Path(folder, *parts)
            if any(parent.is_file() for parent in path.parents) or path.is_dir() or not parts:
                continue
            made.add(os.fsencode(_touch(path)))
        visible = sorted(path for path in made if path.lower().endswith(b".jpg"))
        assert [os.fsencode(path) for path in _paths(folder)] == visible


def test_a_folder_sorts_as_its_name_and_a_slash(tmp_path: Path) -> None:
    for name in ("a/z.jpg", "a-b/z.jpg", "a.jpg", "a0.jpg"):
        _touch(tmp_path / name)
    found = [os.path.relpath(path, tmp_path) for path in _paths(tmp_path)]
    assert found == ["a-b/z.jpg", "a.jpg", "a/z.jpg", "a0.jpg"]  # '-' < '.' < '/' < '0'


def test_only_photo_suffixes_count_and_the_rest_is_counted(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.Tiff", "c.webp", "d.txt", "e", "._f.jpg", ".git/g.jpg"):
        _touch(tmp_path / name)
    listing = Listing([os.fspath(tmp_path)])
    assert [Path(ref.path).name for ref in listing] == ["a.JPG", "b.Tiff", "c.webp"]
    assert (listing.found, listing.ignored.hidden, listing.ignored.other) == (3, 2, 2)


def test_a_folder_named_like_a_photo_is_walked(tmp_path: Path) -> None:
    _touch(tmp_path / "x.jpg" / "y.jpg")
    assert _paths(tmp_path) == [f"{tmp_path}/x.jpg/y.jpg"]


def test_links_to_photos_and_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    photo = _touch(tmp_path / "in" / "a.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.jpg").symlink_to(photo)
    (tmp_path / "out" / "more").symlink_to(tmp_path / "in")
    (tmp_path / "out" / "loop").symlink_to(tmp_path / "out")
    (tmp_path / "out" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    names = [os.path.relpath(path, tmp_path / "out") for path in _paths(tmp_path / "out")]
    assert names == ["b.jpg", "gone.jpg", "more/a.jpg"]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("d", "d/a.jpg"),
        ("./d/", "d/a.jpg"),
        ("d//e/", "d/e/b.jpg"),
        (".", "d/a.jpg"),
        ("./d/a.jpg", "d/a.jpg"),
        ("../here/d", "../here/d/a.jpg"),
    ],
)
def test_a_path_is_the_source_as_typed_and_opens_as_it_stands(
    typed: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _touch(tmp_path / "here" / "d" / "a.jpg")
    _touch(tmp_path / "here" / "d" / "e" / "b.jpg")
    monkeypatch.chdir(tmp_path / "here")
    found = _paths(typed)
    assert found[0] == first
    assert all(Path(path).is_file() for path in found)


def test_sources_follow_each_other_as_typed(tmp_path: Path) -> None:
    later, sooner = _touch(tmp_path / "b" / "1.jpg"), _touch(tmp_path / "a" / "2.jpg")
    assert _paths(tmp_path / "b", sooner) == [str(later), str(sooner)]


@pytest.mark.parametrize("second", ["{0}", "{0}/d", "{0}/d/a.jpg"])
def test_sources_that_contain_each_other_are_refused(second: str, tmp_path: Path) -> None:
    _touch(tmp_path / "d" / "a.jpg")
    with pytest.raises(SourceError, match="already in"):
        Listing([os.fspath(tmp_path), second.format(tmp_path)])


def test_a_missing_source_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no such file or directory"):
        Listing([str(tmp_path / "gone")])
    with pytest.raises(SourceNotFoundError, match="no such list"):
        Listing([f"@{tmp_path}/gone.txt"])
    with pytest.raises(UsageError, match="no source"):
        Listing([])


def test_size_and_time_are_those_of_the_file(tmp_path: Path) -> None:
    path = _touch(tmp_path / "a.jpg")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    (ref,) = Listing([str(path)])
    assert (ref.size_bytes, ref.modified_at) == (1, 1_700_000_000_123_456)


def _list_file(path: Path, lines: list[str]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"id": list(range(len(lines))), "path": lines}), path)
    elif path.suffix == ".csv":
        path.write_text("id,path\r\n" + "".join(f'{i},"{p}"\r\n' for i, p in enumerate(lines)))
    else:
        path.write_text("".join(f"{line}\n\n" for line in lines))
    return path


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".parquet"])
def test_a_list_keeps_its_order_one_row_for_each_line(suffix: str, tmp_path: Path) -> None:
    lines = [str(tmp_path / name) for name in ("b.jpg", "gone.jpg", "a.png", "b.jpg")]
    _touch(tmp_path / "a.png")
    _touch(tmp_path / "b.jpg")
    assert _paths(f"@{_list_file(tmp_path / f'list{suffix}', lines)}") == lines


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_list_without_a_column_path_is_refused(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"list{suffix}"
    if suffix == ".csv":
        file.write_text("file\na.jpg\n")
    else:
        pq.write_table(pa.table({"file": ["a.jpg"]}), file)
    with pytest.raises(SourceError, match="no column 'path'"):
        _paths(f"@{file}")


def test_names_that_are_not_utf_8_open(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    (tmp_path / "list.txt").write_bytes(raw + b"\n")
    for source in (tmp_path, f"@{tmp_path}/list.txt"):
        (ref,) = Listing([os.fspath(source)])
        assert os.fsencode(ref.path) == raw
        assert read(ref) == b"x"


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    photo = save_photo(tmp_path / "photo.jpg")
    codes = {
        Path(ref.path).name: outcome.code if isinstance(outcome, Unreadable) else outcome[:2]
        for ref in Listing([os.fspath(tmp_path)])
        for outcome in [read(ref)]
    }
    assert codes == {"fifo.jpg": "not_a_file", "gone.jpg": "missing", "photo.jpg": b"\xff\xd8"}
    (lost,) = Listing([str(photo)])
    photo.unlink()  # between listing and reading
    outcome = read(lost)
    assert isinstance(outcome, Unreadable)
    assert outcome.code == "missing"


def test_a_line_that_names_a_directory_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    (ref,) = Listing([f"@{_list_file(tmp_path / 'list.txt', [f'{tmp_path}/x.jpg'])}"])
    outcome = read(ref)
    assert isinstance(outcome, Unreadable)
    assert outcome.code == "not_a_file"


def _nest(names: list[str], photo: str) -> None:
    """Make folders in each other, from the working directory, and a photo in the innermost."""
    here = os.open(".", os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        here, above = os.open(name, os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(os.open(photo, os.O_CREAT, dir_fd=here))
    os.close(here)


def test_a_tree_may_be_deeper_than_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _nest(["d"] * 300, "x.jpg")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)  # a deeper tree could not be removed
    try:
        assert _paths("d") == ["d/" * 300 + "x.jpg"]
    finally:
        sys.setrecursionlimit(limit)


def test_a_folder_whose_path_is_too_long_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux takes 4,096 bytes."""
    monkeypatch.chdir(tmp_path)
    _nest(["e" * 250] * 17, "x.jpg")
    (tmp_path / ("e" * 250) / "f.jpg").touch()
    with pytest.raises(SourceError, match=r"cannot list 'ee.*…': File name too long; [^\n]*$"):
        _paths("e" * 250)
    listing = Listing(["e" * 250], selection=Selection(skip_unlistable=True))
    assert [ref.path for ref in listing] == [f"{'e' * 250}/f.jpg"]
    assert listing.ignored.unlistable == 1


def test_a_photo_whose_path_is_too_long_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _nest(["e" * 250] * 16, f"{'x' * 200}.jpg")
    (ref,) = Listing(["e" * 250])
    assert len(ref.path) == 16 * 251 + 204
    outcome = read(ref)
    assert isinstance(outcome, Unreadable)
    assert outcome.code == "bad_path"
    for name in ("x" * 300, "x/" * 3000, f"@{'x' * 300}"):
        with pytest.raises(SourceNotFoundError):
            Listing([name])


def test_a_line_with_a_nul_byte_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a\0b.jpg\n")
    (ref,) = Listing([f"@{tmp_path}/list.txt"])
    outcome = read(ref)
    assert isinstance(outcome, Unreadable)
    assert outcome.code == "bad_path"


def test_a_carriage_return_within_a_line_is_of_the_name(tmp_path: Path) -> None:
    _touch(tmp_path / "a\rb.jpg")
    (tmp_path / "list.txt").write_bytes(b"%b/a\rb.jpg\r\n" % os.fsencode(tmp_path))
    assert _paths(f"@{tmp_path / 'list.txt'}") == [f"{tmp_path}/a\rb.jpg"]
