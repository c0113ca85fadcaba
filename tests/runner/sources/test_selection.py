"""What is left out of a source: patterns, links, folders that cannot be listed; always counted."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from buckets import Bucket
from scene_batch.errors import LedgerError, OutputError, SourceError, TableError, UsageError
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.merge import merge
from scene_batch.pipeline.run import run
from scene_batch.sources import directory
from scene_batch.sources.listing import Listing
from scene_batch.sources.selection import Selection
from scene_batch.sources.shard import Shard
from support import break_off, counts, rows_of, save_shade, scene_batch

PATTERNS = {
    "*.thumb.jpg": (["a.thumb.jpg", "d/a.thumb.jpg"], ["a.jpg", "thumb.jpg"]),
    "thumbs/": (["thumbs/", "d/thumbs/"], ["thumbs", "xthumbs/", "thumbs.jpg"]),
    "thumbs": (["thumbs/", "d/thumbs", "thumbs"], ["thumbs2/"]),
    "2019/*": (["2019/a.jpg", "2019/d/"], ["2019/", "d/2019/a.jpg"]),
    "/a.jpg": (["a.jpg"], ["d/a.jpg"]),
    "d/*.jpg": (["d/a.jpg"], ["d/e/a.jpg", "x/d/a.jpg"]),
    "**/d/*.jpg": (["d/a.jpg", "x/y/d/a.jpg"], ["xd/a.jpg"]),
    "d/**": (["d/a.jpg", "d/e/f.jpg"], ["d/", "xd/a.jpg"]),
    "d/**/x.jpg": (["d/x.jpg", "d/e/f/x.jpg"], ["dx.jpg"]),
    "IMG_[0-9]?.jpg": (["IMG_12.jpg"], ["IMG_x2.jpg", "IMG_1.jpg", "IMG_1é2.jpg"]),
    "[!a].jpg": (["b.jpg", "é.jpg"], ["a.jpg"]),
    r"\*.jpg": (["*.jpg"], ["a.jpg"]),
    "a(b|c)+.jpg": (["a(b|c)+.jpg"], ["abc.jpg"]),
    "caf\udce9*": (["caf\udce9.jpg"], ["cafe.jpg"]),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_are_those_of_gitignore(pattern: str) -> None:
    excluded, kept = PATTERNS[pattern]
    excludes = Selection(exclude=(pattern,)).excludes()
    assert excludes is not None
    assert [path for path in excluded if not excludes(path)] == []
    assert [path for path in kept if excludes(path)] == []


@pytest.mark.parametrize("pattern", ["", "/", "!a.jpg", "a//b", "[z-a].jpg", "[[:digit:]].jpg"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="--exclude"):
        Selection(exclude=(pattern,))


def _fill(folder: Path) -> None:
    for name in (
        "2019/a.png",
        "2019/deep/b.png",
        "2020/a.png",
        "2020/a.thumb.png",
        "2020/thumbs/1.png",
        "2020/thumbs/2.png",
        "2020/thumbs-2/1.png",
        "2020/x.thumb.txt",
        ".thumbs/1.png",
        "notes.txt",
        "z.png",
    ):
        save_shade(folder / name, len(name)) if name.endswith("png") else (
            folder / name
        ).write_bytes(b"x")


_EXCLUDE = Selection(exclude=("*.thumb.*", "thumbs/", "2019/*"))


def test_a_disk_and_a_bucket_leave_out_the_same(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path)
    bucket.fill(tmp_path, "in/")
    opened: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(
        directory.os,
        "scandir",
        lambda f: opened.append(os.path.relpath(f, os.fsencode(tmp_path))) or scan(f),
    )
    for source in (str(tmp_path), f"{bucket.url}/in"):
        listing = Listing([source], selection=_EXCLUDE)
        refs = list(listing)
        names = [ref.path.removeprefix(f"{source}/") for ref in refs]
        assert names == ["2020/a.png", "2020/thumbs-2/1.png", "z.png"]
        assert asdict(listing.ignored) == {
            "hidden": 1,
            "other": 1,
            "excluded": 5,
            "links": 0,
            "unlistable": 0,
        }
    assert b"2020/thumbs" not in opened
    assert b"2020" in opened


def test_links_that_are_not_followed_are_counted(tmp_path: Path) -> None:
    _fill(tmp_path / "in")
    (tmp_path / "in" / "link").symlink_to("2020")
    (tmp_path / "in" / "link.png").symlink_to("z.png")
    (tmp_path / "in" / "lost.png").symlink_to("nowhere")
    followed = Listing([str(tmp_path / "in")])
    assert len(list(followed)) == 8 + 5 + 2
    listing = Listing([str(tmp_path / "in")], selection=Selection(follow_links=False))
    assert len(list(listing)) == 8
    assert (listing.ignored.links, listing.ignored.other) == (3, 2)


def test_a_folder_that_cannot_be_listed_is_passed_over_only_if_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path)
    scan = os.scandir

    def scandir(folder: bytes) -> Any:
        if folder.endswith(b"/2020"):
            raise PermissionError(13, "Permission denied")  # root, as tests may be, lists all
        return scan(folder)

    monkeypatch.setattr(directory.os, "scandir", scandir)
    with pytest.raises(SourceError, match=r"Permission denied; .*--exclude or --skip-unlistable"):
        list(Listing([str(tmp_path)]))
    listing = Listing([str(tmp_path)], selection=Selection(skip_unlistable=True))
    refs = list(listing)
    assert [os.path.relpath(ref.path, tmp_path) for ref in refs] == [
        "2019/a.png",
        "2019/deep/b.png",
        "z.png",
    ]
    assert listing.ignored.unlistable == 1
    with pytest.raises(SourceError, match=r"cannot list .*2020"):  # the source itself
        list(Listing([str(tmp_path / "2020")], selection=Selection(skip_unlistable=True)))


def test_a_link_into_a_closed_folder_is_a_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    """Its photos must not vanish among the other files."""
    save_shade(tmp_path / "closed/photos/1.png", 3)
    save_shade(tmp_path / "src/2.png", 3)
    (tmp_path / "src/link").symlink_to("../closed/photos")
    (tmp_path / "src/photo.png").symlink_to("../closed/photos/1.png")
    tmp_path.chmod(0o755)
    code = (
        "import os; from scene_batch.sources.listing import Listing;"
        "os.seteuid(65534) if os.geteuid() == 0 else None;"
        "print([ref.path for ref in Listing(['src'])])"
    )
    (tmp_path / "closed").chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            capture_output=True,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        )
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert b"cannot list b'src/link'" in done.stderr or b"cannot list 'src/link'" in done.stderr


def test_a_single_photo_that_a_link_leads_to_is_another_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_shade(tmp_path / "d/0.png", 3)
    save_shade(tmp_path / "other/1.png", 3)
    save_shade(tmp_path / "other/2.png", 3)
    (tmp_path / "d/l").symlink_to("../other")
    with pytest.raises(SourceError, match=r"'d/l/1\.png' leads into 'other/1\.png'"):
        list(Listing(["d", "other/1.png"]))


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize(
    ("link", "target"),
    [("link", "../b"), ("link", "../b/sub"), ("x.png", "../b/1.png"), ("c", "../c")],
)
def test_sources_that_meet_through_a_link_are_found_out(
    link: str,
    target: str,
    first: str,
    colours: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last one leads to a folder of neither, and from there to a folder around one of them."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/0.png", "b/1.png", "b/sub/2.png", "c/3.png"):
        save_shade(tmp_path / name, 3)
    Path("a", link).symlink_to(target)
    if link == "c":
        Path("c", "around").symlink_to(tmp_path)
    sources = ("a", "b") if first == "a" else ("b", "a")
    out = tmp_path / "p.parquet"
    with pytest.raises(SourceError, match=r"'a/.*' leads into '.*another source: .* two rows"):
        run(Job(sources, str(out)), colours)
    assert not out.exists()
    apart = Job(sources, str(out), selection=Selection(follow_links=False), restart=True)
    record = run(apart, colours)
    assert (record.photos, record.ignored["links"]) == (3, 1)


def test_two_links_to_one_folder_give_rows_of_both_paths(tmp_path: Path) -> None:
    save_shade(tmp_path / "far" / "x.png", 1)
    (tmp_path / "in").mkdir()
    for name in ("one", "two"):
        (tmp_path / "in" / name).symlink_to("../far")
    found = [os.path.relpath(ref.path, tmp_path / "in") for ref in Listing([str(tmp_path / "in")])]
    assert found == ["one/x.png", "two/x.png"]


def test_what_is_left_out_belongs_to_the_job(
    colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved, "PART_ROWS", 1)
    _fill(tmp_path / "in")
    out = tmp_path / "p.parquet"
    job = Job((str(tmp_path / "in"),), str(out), selection=_EXCLUDE)
    break_off(job, colours, 1)
    with pytest.raises(LedgerError, match=r"another exclude \(then .*, now null\)"):
        run(Job(job.sources, job.out), colours)
    same = Selection(exclude=("2019/*", "thumbs/", "*.thumb.*"))
    record = run(Job(job.sources, job.out, selection=same), colours)
    assert (record.photos, record.ignored["excluded"]) == (3, 5)
    assert record.settings["exclude"] == ["*.thumb.*", "2019/*", "thumbs/"]
    for how in ({"update": True}, {"retry_unreadable": True}):
        with pytest.raises(OutputError, match=r"with --exclude .* is without --exclude"):
            run(Job(job.sources, job.out, **how), colours)
        assert (
            run(Job(job.sources, job.out, selection=same, **how), colours).ignored == record.ignored
        )
    assert len(rows_of(out)) == 3


def test_rows_of_folders_that_cannot_be_listed_now_stay(
    colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path / "in")
    job = Job((str(tmp_path / "in"),), str(tmp_path / "p.parquet"))
    whole = run(job, colours)
    scan = os.scandir

    def scandir(folder: bytes) -> Any:
        if folder.endswith(b"/2020"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(directory.os, "scandir", scandir)
    skip = Selection(skip_unlistable=True)
    record = run(Job(job.sources, job.out, update=True, selection=skip), colours)
    assert (record.photos, record.ignored["unlistable"]) == (whole.photos, 1)
    with pytest.raises(UsageError, match="--prune would drop"):
        Job(job.sources, job.out, update=True, prune=True, selection=skip)


def test_shards_must_have_left_out_the_same(colours: Predictor, tmp_path: Path) -> None:
    _fill(tmp_path / "in")
    names = []
    for index, selection in enumerate((_EXCLUDE, Selection(), _EXCLUDE)):
        names.append(str(tmp_path / f"{index}.parquet"))
        shard = Shard(index % 2 if index < 2 else 1, 2)
        run(Job((str(tmp_path / "in"),), names[-1], selection=selection, shard=shard), colours)
    with pytest.raises(TableError, match="differ in their exclude"):
        merge(names[:2], str(tmp_path / "m.parquet"))
    merged = merge([names[0], names[2]], str(tmp_path / "m.parquet"))
    assert (merged.photos, merged.ignored["excluded"]) == (3, 5)


def test_the_options_and_what_is_said_of_them(colour_model: Path, tmp_path: Path) -> None:
    _fill(tmp_path / "in")
    (tmp_path / "in" / "link.png").symlink_to("z.png")
    (tmp_path / "job.toml").write_text("[run]\nexclude = ['thumbs/', '2019/*', '*.thumb.*']")
    words = ["run", tmp_path / "in", "--out", tmp_path / "p.parquet", "--model", colour_model]
    done = scene_batch(*words, "--no-follow-links", "--config", tmp_path / "job.toml")
    assert done.returncode == 0, done.stderr
    assert b"8 other files ignored (excluded 5, links 1); " in done.stderr
    assert counts(tmp_path / "p.parquet")["photos"] == 3
    words += ["--overwrite", "--exclude", "*.thumb.*", "--exclude", "20*/"]
    done = scene_batch(*words)
    assert b"4 other files ignored (excluded 2); " in done.stderr
