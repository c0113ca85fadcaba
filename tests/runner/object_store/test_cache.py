"""Files that are fetched into the cache: once, whole or not at all, and never a stale one."""

from __future__ import annotations

import hashlib
import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import windows_rules
from buckets import Bucket
from faults import CUT, Fault, Request, slow_down
from scene_batch.errors import StoreError, UsageError
from scene_batch.file_lock import lock
from scene_batch.object_store import cache as caching
from scene_batch.object_store import download
from scene_batch.object_store.cache import FileKind, UnaskedError, cache_folder, fetch
from support import printed_by

KIND = FileKind("things", ".bin", 1 << 20)
FIRST, SECOND = b"first" * 40_000, b"second" * 40_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _methods(bucket: Bucket) -> list[tuple[str, bool]]:
    """Each request, and whether it was on a condition."""
    return [
        (r.method, "if-none-match" in {name.lower() for name in r.headers})
        for r in bucket.front.requests
    ]


def test_a_file_is_fetched_once_and_then_one_request_asks_whether_it_has_changed(
    bucket: Bucket, cache: Path
) -> None:
    bucket.put("m.bin", FIRST)
    url, notes = f"{bucket.url}/m.bin", list[str]()
    for asked in range(3):
        found = fetch(url, KIND, note=notes.append)
        assert found == (cache / f"{sha256(FIRST)}.bin", "")
        assert found.path.read_bytes() == FIRST
        assert _methods(bucket) == [("GET", False), *[("GET", True)] * asked]
    assert notes == [f"fetching {url!r}, 0.2 MB"]
    if os.name == "posix":
        assert stat.S_IMODE(found.path.stat().st_mode) == 0o600
    bucket.put("m.bin", SECOND)
    assert fetch(url, KIND).path.read_bytes() == SECOND
    assert len(bucket.front.requests) == 4  # the question brings the new bytes
    assert fetch(url, KIND).path.read_bytes() == SECOND
    assert len(list(cache.glob("*.bin"))) == 2
    assert list(cache.glob("*.partial")) == []


def test_a_file_that_is_named_by_its_sha256_needs_no_request(bucket: Bucket, cache: Path) -> None:
    bucket.put("m.bin", FIRST)
    url = f"{bucket.url}/m.bin"
    fetch(url, KIND, sha256=sha256(FIRST))
    bucket.front.requests.clear()
    for other in (url, "https://host.invalid/m.bin"):
        assert fetch(other, KIND, sha256=sha256(FIRST)).path.read_bytes() == FIRST
    assert bucket.front.requests == []


def test_a_damaged_file_of_the_cache_is_fetched_again(bucket: Bucket, cache: Path) -> None:
    bucket.put("m.bin", FIRST)
    url = f"{bucket.url}/m.bin"
    path = fetch(url, KIND).path
    for damage in (FIRST[:-1], FIRST[:-1] + b"x", b""):
        path.write_bytes(damage)
        for pin in (None, sha256(FIRST)):
            assert fetch(url, KIND, sha256=pin).path.read_bytes() == FIRST
    assert _methods(bucket).count(("GET", False)) == 4
    (state,) = cache.glob("*.json")
    for text in ("", "[]", "{}", '{"mark": 1, "sha256": "../../x"}', "\udcff"):
        state.write_text(text, errors="surrogateescape")
        assert fetch(url, KIND).path.read_bytes() == FIRST


def test_a_file_is_not_taken_unasked_where_the_store_does_not_answer(
    bucket: Bucket, cache: Path, hasty: None
) -> None:
    bucket.put("m.bin", FIRST)
    url = f"{bucket.url}/m.bin"
    fetch(url, KIND)
    for fault, says in (
        (slow_down(), "no sound answer"),
        (Fault(404, "NoSuchKey"), "not found"),
        (Fault(403, "AccessDenied"), "access denied"),
        (Fault(drop=True), "no sound answer"),
    ):
        bucket.front.decide = lambda _, fault=fault: fault  # type: ignore[misc]
        with pytest.raises(UnaskedError, match=rf"cannot fetch 's3://.*/m\.bin': {says}") as caught:
            fetch(url, KIND)
        assert caught.value.sha256 == sha256(FIRST)
        with pytest.raises(StoreError) as other:
            fetch(url, KIND, sha256="0" * 64)
        assert type(other.value) is StoreError
    bucket.front.decide = lambda _: None
    assert fetch(url, KIND).path.read_bytes() == FIRST


@pytest.mark.parametrize("cuts", [2, 1000])
def test_a_download_that_is_cut_is_tried_again_and_leaves_nothing_half(
    cuts: int, bucket: Bucket, cache: Path, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("m.bin", FIRST)
    bucket.front.decide = lambda r: CUT if r.total < cuts else None
    monkeypatch.setattr(download, "_CHUNK", 1 << 12)  # half of it is written
    if cuts == 2:
        assert fetch(f"{bucket.url}/m.bin", KIND).path.read_bytes() == FIRST
        assert len(bucket.front.requests) == 3
    else:
        with pytest.raises(StoreError, match="no sound answer"):
            fetch(f"{bucket.url}/m.bin", KIND)
        assert list(cache.iterdir()) == []


def test_an_object_that_is_replaced_while_its_download_breaks_off_is_the_new_one(
    bucket: Bucket, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_CHUNK", 1 << 12)

    def decide(request: Request) -> Fault | None:
        if request.total == 0:
            return CUT
        bucket.put("m.bin", b"short")
        return None

    url = _put(bucket, "m.bin", FIRST)
    bucket.front.decide = decide
    found = fetch(url, KIND)
    assert (found.path.name, found.path.read_bytes()) == (f"{sha256(b'short')}.bin", b"short")
    assert fetch(url, KIND) == found


def test_a_store_that_knows_no_conditions_is_believed_by_its_etag(
    bucket: Bucket, cache: Path
) -> None:
    headers = (("ETag", '"one"'), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"))
    bucket.front.decide = lambda _: Fault(200, content=FIRST, headers=headers)
    notes: list[str] = []
    for _ in range(2):
        assert fetch(f"{bucket.url}/m.bin", KIND, note=notes.append).path.read_bytes() == FIRST
    assert (len(notes), len(bucket.front.requests)) == (1, 2)


def test_what_the_caller_refuses_is_not_kept_and_takes_no_room_of_others(
    bucket: Bucket, cache: Path
) -> None:
    bucket.put("m.bin", FIRST)
    url = f"{bucket.url}/m.bin"
    fetch(url, KIND)
    before = {path: path.read_bytes() for path in cache.iterdir()}
    bucket.put("m.bin", b"a login page")
    seen = []

    def refuse(path: Path) -> None:
        seen.append(path.read_bytes())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fetch(url, KIND, check=refuse)
    assert seen == [b"a login page"]
    assert {path: path.read_bytes() for path in cache.iterdir()} == before
    with pytest.raises(StoreError, match="has 240000 bytes, and 1 to 239999 are fetched"):
        fetch(_put(bucket, "large.bin", SECOND), FileKind("things", ".bin", 239_999))
    assert fetch(f"{bucket.url}/large.bin", KIND).path.read_bytes() == SECOND
    with pytest.raises(StoreError, match="has 0 bytes"):
        fetch(_put(bucket, "empty.bin", b""), KIND)


def _put(bucket: Bucket, key: str, data: bytes) -> str:
    bucket.put(key, data)
    return f"{bucket.url}/{key}"


def test_the_files_that_were_used_last_are_kept(bucket: Bucket, cache: Path) -> None:
    urls = [_put(bucket, f"{number}.bin", b"%d" % number) for number in range(9)]
    moment = time.time() - 1000
    for number, url in enumerate(urls):
        fetch(url, KIND)
        fetch(urls[0], KIND)
        for path in cache.glob("*.used"):  # time passes
            os.utime(path, (moment, path.stat().st_mtime - 10))
        assert number < 5 or len(list(cache.glob("*.bin"))) == 5
    kept = {path.read_bytes() for path in cache.glob("*.bin")}
    assert kept == {b"0", b"5", b"6", b"7", b"8"}
    assert len(list(cache.glob("*.used"))) == 5
    assert fetch(urls[1], KIND).path.read_bytes() == b"1"  # its state is no harm


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(
    bucket: Bucket, cache: Path
) -> None:
    cache.mkdir(parents=True)
    dead, alive, fresh = (cache / f"{name}.partial" for name in ("dead", "alive", "fresh"))
    for path in (dead, alive, fresh):
        path.touch()
    for path in (dead, alive):
        os.utime(path, (0, 0))
    with alive.open("r+b") as file:
        assert lock(file.fileno())
        fetch(_put(bucket, "m.bin", FIRST), KIND)
        assert sorted(cache.glob("*.partial")) == [alive, fresh]


def test_processes_that_fetch_at_once_do_no_harm(
    bucket: Bucket, cache: Path, tmp_path: Path
) -> None:
    url = _put(bucket, "m.bin", FIRST)
    bucket.front.decide = lambda _: Fault(delay=0.5)
    code = (
        "from scene_batch.object_store.cache import FileKind, fetch\n"
        f"print(fetch({url!r}, FileKind(*{tuple(KIND)!r})).path.stat().st_size)"
    )
    words = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(Path(caching.__file__).parents[2])}
    both = [
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both] == [f"{len(FIRST)}\n"] * 2
    assert (bucket.front.most_at_once, len(bucket.front.requests)) == (2, 2)
    assert [path.read_bytes() for path in cache.glob("*.bin")] == [FIRST]
    assert list(cache.glob("*.partial")) == []


def test_where_nothing_can_be_kept_a_temporary_folder_holds_the_file_and_it_is_said(
    bucket: Bucket, cache: Path, tmp_path: Path
) -> None:
    url = _put(bucket, "m.bin", FIRST)
    (tmp_path / "file").touch()
    (tmp_path / "tmp").mkdir()
    code = (
        "import os, tempfile\n"
        f"os.environ['SCENE_BATCH_CACHE'] = {str(tmp_path / 'file' / 'cache')!r}\n"
        f"tempfile.tempdir = {str(tmp_path / 'tmp')!r}\n"
        "from scene_batch.object_store.cache import FileKind, fetch\n"
        f"found = fetch({url!r}, FileKind(*{tuple(KIND)!r}))\n"
        "print(found.path.stat().st_size, found.path, found.note)"
    )
    size, path, note = printed_by(code).split(maxsplit=2)
    assert (int(size), Path(path).is_relative_to(tmp_path / "tmp")) == (len(FIRST), True)
    assert "is fetched each time; name a folder by SCENE_BATCH_CACHE" in note
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_cache_that_is_only_read_is_used_as_it_is(
    bucket: Bucket, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = _put(bucket, "m.bin", FIRST)
    fetch(url, KIND)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    for pin in (None, sha256(FIRST)):
        assert fetch(url, KIND, sha256=pin).note == ""


@contextmanager
def _full_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if (
        os.geteuid() == 0
        and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    ):
        yield
        subprocess.run(["umount", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_with_the_remedy(bucket: Bucket, cache: Path) -> None:
    url = _put(bucket, "m.bin", FIRST)
    says = (
        r"cannot keep 's3://.*/m\.bin' in '.*things': (No space left|File too large).*; make room"
        " there, or name another folder by SCENE_BATCH_CACHE"
    )
    with _full_disk(cache.parent):
        with pytest.raises(StoreError, match=says):
            fetch(url, KIND)
        assert list(cache.iterdir()) == []
        assert len(bucket.front.requests) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Windows' rules are laid upon Linux")
def test_files_are_kept_by_windows_rules(
    bucket: Bucket, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = _put(bucket, "m.bin", FIRST)
    windows_rules.lay_upon(monkeypatch)
    assert fetch(url, KIND, check=Path.read_bytes).note == ""
    bucket.put("m.bin", SECOND)
    path = fetch(url, KIND).path
    path.write_bytes(b"damaged")
    with path.open("rb"), pytest.raises(StoreError, match="cannot keep"):
        fetch(url, KIND)
    assert fetch(url, KIND).path.read_bytes() == SECOND
    assert len(list(cache.iterdir())) == 5  # two files with their uses, and a state


def test_the_folder_of_the_cache_on_each_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SCENE_BATCH_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for platform, folder in (
        ("linux", ".cache"),
        ("darwin", "Library/Caches"),
        ("win32", "AppData/Local"),
    ):
        monkeypatch.setattr(caching.sys, "platform", platform)  # type: ignore[attr-defined]
        assert cache_folder() == tmp_path / folder / "scene-batch"
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "scene-batch"
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("SCENE_BATCH_CACHE", raising=False)
    assert cache_folder() == tmp_path / "xdg" / "scene-batch"
    monkeypatch.setenv("SCENE_BATCH_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCENE_BATCH_CACHE", "~/models")
    assert cache_folder() == tmp_path / "models"
    monkeypatch.setenv("SCENE_BATCH_CACHE", " ")
    assert cache_folder() == tmp_path / "xdg" / "scene-batch"


def test_a_name_that_is_no_url_is_refused(cache: Path) -> None:
    with pytest.raises(UsageError, match="no URL that can be opened"):
        fetch("ftp://host/m.bin", KIND)
