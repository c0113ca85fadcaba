"""Whole commands on systems that lack what Linux has: the same tables."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import process_environment

_AS_ON_MACOS = "import os; del os.sched_getaffinity\n"

# What imports libraries first: their own code for Windows needs Windows.
_AS_ON_WINDOWS = textwrap.dedent(
    """
    import errno, fcntl, importlib.metadata, os, platform, shutil, signal, subprocess, sys, types
    import sysconfig, tempfile, uuid
    import click, numpy, obstore.store, onnxruntime, PIL.Image, pyarrow.parquet, tenacity, tqdm
    from onnxruntime.capi import onnxruntime_pybind11_state

    def locking(descriptor, mode, size):
        assert (mode, size) == (2, 1)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, size)
        except OSError:
            raise PermissionError(errno.EACCES, "another process has it") from None

    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    sys.modules["fcntl"] = sys.modules["resource"] = None
    for name in ("sched_getaffinity", "pathconf", "uname", "O_NONBLOCK", "O_CLOEXEC"):
        delattr(os, name)
    really_open = os.open
    def no_folders(path, flags, *mode, **more):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return really_open(path, flags, *mode, **more)
    os.open = no_folders
    sysconfig.get_config_vars(), platform.uname()
    shutil._use_fd_functions, signal.SIGBREAK = False, signal.SIGUSR1
    sys.platform = "win32"
    """
)
_COMMANDS = """
import json
from scene_batch.cli import main
for words in json.loads(sys.argv[1]):
    main(words, standalone_mode=False)
"""


def _run(system: str, *commands: list[str | Path]) -> subprocess.CompletedProcess[bytes]:
    """Commands, one after the other in a process of such a system."""
    words = json.dumps([[str(word) for word in command] for command in commands])
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{system}{_COMMANDS}", words],
        env=process_environment(),
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("system", [_AS_ON_MACOS, _AS_ON_WINDOWS], ids=["macos", "windows"])
def test_runs_updates_shards_and_data_sets_are_the_same_elsewhere(
    system: str, album: Path, colour_model: Path, whole: Path, tmp_path: Path
) -> None:
    def run(out: str, *more: str) -> list[str | Path]:
        model = ["--model", colour_model, "--max-unreadable", "100%", "--provider", "cpu"]
        return ["run", album, "--out", f"{tmp_path}/{out}", *model, *more]

    names = ("p.parquet", "m.parquet", "set")
    done = _run(
        system,
        run("p.parquet", "--limit", "3"),
        run("p.parquet", "--overwrite"),
        run("p.parquet", "--update", "--retry-unreadable"),
        run("set/"),
        run("set/", "--overwrite"),
        run("0.parquet", "--shard", "0/2"),
        run("1.parquet", "--shard", "1/2"),
        ["merge", *(tmp_path / f"{n}.parquet" for n in "01"), "--out", tmp_path / "m.parquet"],
        ["doctor", "--folder", tmp_path],
    )
    assert done.returncode == 0, done.stderr
    want = pq.read_table(whole).to_pylist()
    assert [pq.read_table(tmp_path / name).to_pylist() for name in names] == [want] * 3
    assert not list(tmp_path.glob("*.parts*")), "something was left beside an output"


@pytest.fixture
def whole(album: Path, colours: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "p.parquet"
    run(Job((str(album),), str(out)), colours)
    return out


def test_two_processes_cannot_write_one_output_on_windows(
    album: Path, colour_model: Path, tmp_path: Path
) -> None:
    hold = textwrap.dedent(
        """
        import time
        from scene_batch.outputs.ledger import Ledger
        from scene_batch.outputs.storage import open_storage
        Ledger(open_storage(sys.argv[1])).__enter__()
        print("held", flush=True); time.sleep(60)
        """
    )
    out = tmp_path / "p.parquet"
    words = ["run", album, "--out", out, "--model", colour_model, "--max-unreadable", "100%"]
    with subprocess.Popen(
        [sys.executable, "-c", _AS_ON_WINDOWS + hold, str(out)],
        stdout=subprocess.PIPE,
        env=process_environment(),
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = _run(_AS_ON_WINDOWS, words)
        holder.kill()
    assert done.returncode == 1
    assert b"another process is writing" in done.stderr
    assert _run(_AS_ON_WINDOWS, words).returncode == 0
