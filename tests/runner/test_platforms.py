"""What a system lacks has its substitute. Windows and macOS are played where Linux allows it."""

from __future__ import annotations

import errno
import io
import ntpath
import os
import posixpath
import re
import select
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from scene_batch import cli, file_lock
from scene_batch.cli import merge as merge_command
from scene_batch.errors import Interrupted
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import local_storage
from scene_batch.outputs.streamed import StreamedOutput
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.processors import usable_cpus
from scene_batch.records import ImageRef, Unreadable
from scene_batch.sources.directory import with_slashes
from scene_batch.sources.listing import tidy
from scene_batch.sources.reading import read
from support import (
    ROOT,
    command,
    paths_of,
    printed_by,
    process_environment,
    save_shade,
    scene_batch,
    started,
    wait_for,
)

_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="takes away what Linux has")


@pytest.fixture(scope="module")
def paths(album: Path, colours: Predictor, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Those of a table, as this system makes it."""
    out = tmp_path_factory.mktemp("whole") / "p.parquet"
    run(Job((str(album),), str(out)), colours)
    found: list[str] = pq.read_table(out)["path"].to_pylist()
    return found


# Everywhere: these laws are to hold on each system as it is.


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scene_batch", "--help"],
        env=process_environment(),
        capture_output=True,
        check=True,
    )
    assert done.stdout == scene_batch("--help").stdout
    assert b"Usage: scene-batch" in done.stdout


def test_paths_have_slashes_in_the_table(album: Path, paths: list[str]) -> None:
    begin = with_slashes(str(album))
    assert paths == sorted(f"{begin}/day{n % 3}/{n:02}.png" for n in range(30))
    assert all(Path(path).is_file() for path in paths)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", "/"])
def test_a_killed_run_continues_and_is_replaced(
    suffix: str, album: Path, colour_model: Path, tmp_path: Path
) -> None:
    words = ["run", album, "--out", f"{tmp_path}/p{suffix}", "--model", colour_model]
    words += ["--max-unreadable", "100%", "--quiet"]
    with started(command(*words)):  # and killed: on Windows all that ends one from outside is so
        wait_for(lambda: os.listdir(tmp_path))
    for more in ([], ["--overwrite"]):
        done = scene_batch(*words, *more)
        known = b"is already there" in done.stderr and not more  # it was done before the kill
        assert done.returncode == 0 or known, done.stderr
    names = {"p", f"p{suffix}"} if suffix == "/" else {f"p{suffix}", f"p{suffix}.run.json"}
    assert set(os.listdir(tmp_path)) == names - {"p/"}


def test_a_lock_is_held_once_and_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from scene_batch.file_lock import lock;"
        "print(lock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)), flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with started(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"True"
        assert not _locks(tmp_path / "lock")
    assert _locks(tmp_path / "lock")


def _locks(path: Path) -> bool:
    with path.open("r+b") as file:
        return file_lock.lock(file.fileno())


# What a system lacks, taken away here.


@_on_linux
def test_every_module_is_imported_without_what_windows_lacks() -> None:
    code = """
import os, pkgutil, signal, sys
import logging.handlers, multiprocessing, subprocess, tempfile  # what others need of it
import PIL.Image, click, numpy, obstore.store, onnxruntime, pyarrow.parquet, tenacity, tqdm
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("pathconf", "sched_getaffinity", "uname", "O_NONBLOCK", "O_CLOEXEC", "mkfifo"):
    delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGALRM"):
    delattr(signal, name)
import scene_batch
for module in pkgutil.walk_packages(scene_batch.__path__, "scene_batch."):
    __import__(module.name)
    print(module.name)
"""
    assert "scene_batch.outputs.local_storage" in printed_by(code).split()


def test_without_affinity_all_processors_are_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for count, usable in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert usable_cpus(cgroups=tmp_path, mine=tmp_path / "none") == usable


@pytest.mark.parametrize("refused", [(), (4096,), (4096, 10_240)])
def test_merge_opens_as_many_files_as_the_system_lets_it(
    refused: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[tuple[int, int]] = []

    def set_limit(_: int, wanted: tuple[int, int]) -> None:
        if wanted[0] in refused:
            raise ValueError("Invalid argument")
        limits.append(wanted)

    there = SimpleNamespace(RLIMIT_NOFILE=7, getrlimit=lambda _: (256, 4096), setrlimit=set_limit)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "resource", there)
    merge_command._allow_many_files()
    assert limits == [(limit, 4096) for limit in (4096, 10_240) if limit not in refused][:1]


def test_merge_raises_no_limit_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    merge_command._allow_many_files()


@_on_linux
@pytest.mark.parametrize("knows_it", [True, False])
def test_macos_is_told_to_write_through_the_drives_memory(
    knows_it: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def control(_: int, command: object) -> None:
        asked.append(command)
        if not knows_it:
            raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "fcntl", SimpleNamespace(F_FULLFSYNC="full", fcntl=control))
    monkeypatch.setattr(os, "fsync", lambda _: asked.append("fsync"))
    (tmp_path / "a").touch()
    local_storage.sync(tmp_path / "a")
    assert asked == ["full"] if knows_it else ["full", "fsync"]


# Paths.


@pytest.mark.parametrize(
    ("typed", "tidied"),
    [
        (r"C:\photos", "C:/photos"),
        (r"c:\photos\\sea\ ".rstrip(), "c:/photos/sea"),
        ("C:/photos/", "C:/photos"),
        ("C://photos", "C:/photos"),
        ("C:\\", "C:/"),
        ("C:", "C:."),
        (r"C:photos", "C:photos"),
        (r"\\server\share\photos", "//server/share/photos"),
        ("\\\\server\\share\\", "//server/share/"),
        (r".\photos\sea", "photos/sea"),
        (r"..\photos", "../photos"),
        (".\\", "."),
        (r"\photos", "/photos"),
        (r"photos\a.jpg", "photos/a.jpg"),
        (r".\@photos", "./@photos"),
        (r"@C:\list.txt", r"@C:\list.txt"),
        (r"s3://bucket//pre\fix/", r"s3://bucket/pre\fix"),
        ("https://host/a?b=c//d", "https://host/a?b=c//d"),
    ],
)
def test_sources_of_windows_are_tidied(typed: str, tidied: str) -> None:
    assert tidy(typed, ntpath) == tidied


@pytest.mark.parametrize("name", [r"a\b.jpg", "C:", "C:photos", r"\\x"])
def test_elsewhere_these_are_names_like_others(name: str) -> None:
    assert tidy(name, posixpath) == name
    assert with_slashes(name, "/") == name


def test_a_path_of_a_list_has_slashes() -> None:
    assert with_slashes(r"photos\sea\a.jpg", ntpath.sep) == "photos/sea/a.jpg"


def test_folders_without_numbers_are_all_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network disks on Windows number nothing: that is no loop of links."""
    want = [save_shade(tmp_path / name, 1).name for name in ("a/b/1.png", "a/2.png", "c/3.png")]
    real = os.stat

    def unnumbered(path: Any, *more: Any, **options: Any) -> Any:
        status = real(path, *more, **options)
        if stat.S_ISREG(status.st_mode):
            return status
        return os.stat_result((status.st_mode, 0, 0, *tuple(status)[3:]))

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", unnumbered)
        found = paths_of(str(tmp_path))
    assert sorted(Path(path).name for path in found) == sorted(want)


# Reading, writing, signals.


@_on_linux
def test_a_photo_is_read_as_bytes() -> None:
    """O_BINARY is played by a flag that changes nothing."""
    code = """
import os
del os.O_NONBLOCK
os.O_BINARY = os.O_APPEND
from scene_batch.sources import reading
from scene_batch.records import ImageRef
print(bool(reading._FLAGS & os.O_BINARY), type(reading.read(ImageRef(os.__file__))).__name__)
"""
    assert printed_by(code).split() == ["True", "bytes"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "not_a_file"),
        (OSError(errno.EINVAL, "Invalid argument"), "bad_path"),
    ],
)
def test_what_windows_says_of_a_folder_and_of_no_name(
    error: OSError, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise error

    monkeypatch.setattr(os, "open", refuse)
    outcome = read(ImageRef(str(tmp_path)))
    assert isinstance(outcome, Unreadable)
    assert outcome.code == code


def _print_a_row(to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, which cannot be asked whether a pipe takes more."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(select, "select", None)
    with to.open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        StreamedOutput(["red"]).write([Unreadable(ImageRef("a.jpg"), "missing", "no such file")])


def test_a_full_pipe_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = os.write, iter([True, False, True, False])

    def write(descriptor: int, data: Any) -> int:
        if next(full, False):
            raise BlockingIOError
        return real(descriptor, data[:20])

    monkeypatch.setattr(os, "write", write)
    _print_a_row(tmp_path / "out", monkeypatch)
    assert (tmp_path / "out").read_bytes().endswith(b"}\n")


def test_a_pipe_that_nobody_reads_is_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: Any) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(BrokenPipeError) as raised:
        _print_a_row(tmp_path / "out", monkeypatch)
    assert raised.value.errno == errno.EPIPE  # by which click knows it


@pytest.mark.skipif(sys.platform == "win32", reason="there it is sent by the console alone")
def test_sigbreak_is_windows_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    with Interruption(), pytest.raises(Interrupted) as raised:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(1)
    assert raised.value.exit_code == 128 + signal.SIGTERM


def test_pipes_get_utf_8_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(io.BytesIO(), "cp1252", errors="backslashreplace")
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(sys, "platform", "win32")
    cli._speak_utf_8()
    assert (sys.stdout.encoding, sys.stderr.errors) == ("utf-8", "backslashreplace")
    monkeypatch.setattr(sys, "stdout", None)
    cli._speak_utf_8()


def test_the_workflow_names_tests_that_are_there() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    named = re.findall(r"tests/[\w/.]*", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
