"""Lists lose no line: quotes, NUL bytes, columns of any name."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scene_batch.errors import SourceError
from scene_batch.object_store.address import hidden, shown
from scene_batch.records import Unreadable
from scene_batch.sources.file_list import FileList, ListFormat
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import read
from support import save_shade, scene_batch


def _paths(file: Path, **how: object) -> list[str]:
    return [ref.path for ref in FileList(str(file), 0, ListFormat(**how)).refs()]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "number"),
    [('"odd.jpg', 152), ('odd".jpg', 152), ('"odd"x.jpg', 152), ('"a""b', 152), ('a,"b', 152)],
)
def test_a_quote_that_does_not_close_swallows_no_line(
    line: str, number: int, tmp_path: Path
) -> None:
    """Of 301 lines one was odd, and 150 had no row."""
    names = [f"{n:03}.jpg" for n in range(300)]
    names.insert(150, line)
    names.append('last".jpg')  # what closed it
    (tmp_path / "list.csv").write_text("path\n" + "\n".join(names) + "\n")
    with pytest.raises(SourceError, match=f"a quote in line {number} that does not close"):
        _paths(tmp_path / "list.csv")


def test_quoted_fields_are_what_they_say(tmp_path: Path) -> None:
    names = ["plain.jpg", "a,b.jpg", 'say "ah".jpg', " spaces .jpg", "ö.jpg"]
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerows([("n", "path"), *enumerate(names)])
    assert _paths(tmp_path / "list.csv") == names


def test_paths_may_end_with_nul_bytes(tmp_path: Path) -> None:
    names = ["a.jpg", "with\nline break.jpg", 'quo"te.jpg', "x" * 200_000 + ".jpg", "last.jpg"]
    for end in ("", "\0"):
        (tmp_path / "list").write_text("\0".join(names) + end)
        assert _paths(tmp_path / "list", null=True) == names


def test_a_list_of_lines_is_no_list_of_nul_bytes(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\n" * 200_000)
    with pytest.raises(SourceError, match="no NUL byte for a megabyte; drop --null"):
        _paths(tmp_path / "list.txt", null=True)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_is_named_by_the_user(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"list{suffix}"
    if suffix == ".csv":
        file.write_text("id,image\n1,a.jpg\n2,b.jpg\n")
    else:
        pq.write_table(pa.table({"id": [1, 2], "image": ["a.jpg", "b.jpg"]}), file)
    assert _paths(file, column="image") == ["a.jpg", "b.jpg"]
    with pytest.raises(SourceError, match=r"no column 'path'; it has 'id', 'image': name one with"):
        _paths(file)


def test_a_shard_of_a_list_of_nul_bytes_is_merged_as_it_was_read(
    colour_model: Path, tmp_path: Path
) -> None:
    names = [save_shade(tmp_path / f"{n}\n.png", n) for n in range(6)]
    listed = tmp_path / "list"
    listed.write_text("\0".join(map(str, names)))
    shards = []
    for index in range(2):
        shards.append(tmp_path / f"{index}.parquet")
        words = ["run", f"@{listed}", "--null", "--model", colour_model, "--out", shards[-1]]
        done = scene_batch(*words, "--shard", f"{index}/2")
        assert done.returncode == 0, done.stderr
    done = scene_batch("merge", *shards, "--out", tmp_path / "whole.parquet")
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "whole.parquet")["path"].to_pylist() == list(map(str, names))
    record = json.loads((tmp_path / "whole.parquet.run.json").read_text())
    assert record["settings"]["null"] is True


def test_a_line_of_a_table_without_a_path_is_a_row(tmp_path: Path) -> None:
    """Half of a list must not vanish: only blank lines are ignored."""
    (tmp_path / "l.csv").write_text("id,path\n1,a.jpg\n2,\n\n3,b.jpg\n4\n")
    assert _paths(tmp_path / "l.csv") == ["a.jpg", "", "b.jpg", ""]
    table = pa.table({"path": ["a.jpg", None, "", "b.jpg"]})
    pq.write_table(table, tmp_path / "l.parquet")
    assert _paths(tmp_path / "l.parquet") == ["a.jpg", "", "", "b.jpg"]
    (ref, *_) = FileList(str(tmp_path / "l.csv")).refs()
    outcome = read(replace(ref, path=""))
    assert isinstance(outcome, Unreadable)
    assert outcome.code == "missing"


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "https:/host/x.jpg?sig=abc"])
def test_a_line_that_names_no_photo_is_a_row_without_its_query(url: str, tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text(url)
    (ref, *_) = FileList(str(tmp_path / "l.txt")).refs()
    outcome = read(ref)
    assert isinstance(outcome, Unreadable)
    assert outcome.code == ("missing" if "?" in url else "bad_path")
    assert "abc" not in shown(url) + hidden(url)


def test_a_list_without_lines_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("\n\n")
    listing = Listing([f"@{tmp_path}/l.txt"])
    assert list(listing) == []
    with pytest.raises(SourceError, match="no line has a path"):
        listing.refuse_no_photo()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,path\n1,a.jpg\n2,b,c.jpg\n", "has 3 fields in line 3, its header has 2"),
        ("path,path\na.jpg,b.jpg\n", "has two columns 'path'"),
    ],
)
def test_a_table_that_could_be_read_in_two_ways_is_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        _paths(tmp_path / "l.csv")
