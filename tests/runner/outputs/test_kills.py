"""Killed at any step, a run goes on and ends in the same table."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from scene_batch.errors import Interrupted
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import publishing
from scene_batch.outputs.ledger import Ledger
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import (
    Dies,
    StepsToDieAt,
    command,
    counts,
    is_full,
    process_environment,
    save_shade,
    started,
    wait_for,
)

pytestmark = pytest.mark.usefixtures("small_parts")


_STEPS = 40


@pytest.fixture(scope="module")
def two_folders(photos: Path) -> tuple[str, str]:
    """58 of the photos, three of them broken."""
    return f"{photos}/f0", f"{photos}/f3"


@pytest.fixture(scope="module")
def table_of_two(
    two_folders: tuple[str, str], colours: Predictor, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The table of an undisturbed run over them."""
    out = tmp_path_factory.mktemp("two") / "p.parquet"
    run(Job(two_folders, str(out)), colours)
    return out


@pytest.mark.parametrize("how", ["plain", "overwrite"])
@pytest.mark.parametrize("step", range(_STEPS))
def test_a_kill_at_any_of_the_last_steps_is_made_good(
    step: int,
    how: str,
    two_folders: tuple[str, str],
    colours: Predictor,
    table_of_two: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Die at the n-th renaming, syncing, unlinking after the last row, then run again."""
    deadly = StepsToDieAt(step)
    out = tmp_path / "p.parquet"
    job = Job(two_folders, str(out), overwrite=how == "overwrite")
    join = publishing.join

    def from_here(*words: Any) -> None:
        steps = ("replace", "rename", "unlink", "rmdir")
        for owner, name in ((os, "fsync"), *((Path, step) for step in steps)):
            patch.setattr(owner, name, deadly.counted(getattr(owner, name)))
        join(*words)

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "join", from_here)
        with suppress(Dies):
            run(job, colours)
    left = Path(f"{out}.parts").exists()
    if how == "plain" and out.exists() and os.listdir(f"{out}.parts" if left else tmp_path) == []:
        shutil.rmtree(f"{out}.parts")  # died before the very last rmdir: an empty folder
        left = False
    record = run(job, colours) if left or not out.exists() else None
    assert record is None or record.photos == 58
    assert pq.read_table(out) == pq.read_table(table_of_two)
    assert counts(out) == counts(table_of_two)
    assert sorted(os.listdir(tmp_path)) == ["p.parquet", "p.parquet.run.json"]
    if step == _STEPS - 1:
        assert deadly.taken < _STEPS, "there are more steps than this test tries"


def _run_with_a_signal_at(step: int, job: Job, colours: Predictor) -> None:
    """Run with SIGTERM before the n-th renaming, syncing, unlinking after the last row."""
    taken = 0

    def counted(real: Any) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == step + 1:
                signal.raise_signal(signal.SIGTERM)
            return real(*words, **more)

        return call

    def from_here(real: Any) -> Any:
        def call(*words: Any) -> None:
            steps = ("replace", "rename", "unlink")
            for owner, name in ((os, "fsync"), *((Path, step) for step in steps)):
                patch.setattr(owner, name, counted(getattr(owner, name)))
            real(*words)

        return call

    with pytest.MonkeyPatch.context() as patch, Interruption() as interruption:
        patch.setattr(publishing, "join", from_here(publishing.join))
        patch.setattr(publishing, "check", from_here(publishing.check))
        run(job, colours, interruption=interruption)


@pytest.mark.parametrize("name", ["p.parquet", "p/"])
def test_a_signal_at_any_of_the_last_steps_leaves_something_to_continue_or_nothing_to_do(
    name: str, two_folders: tuple[str, str], colours: Predictor, tmp_path: Path
) -> None:
    ends = set()
    for step in range(_STEPS // 2):
        job = Job(two_folders, f"{tmp_path}/{step}-{name}")
        try:
            _run_with_a_signal_at(step, job, colours)
            ends.add("done")
        except Interrupted:
            ends.add("interrupted")
            assert run(job, colours).photos == 58
        assert Path(job.out).exists()
    assert ends == {"done", "interrupted"}


def test_a_table_that_was_joined_and_not_named_is_joined_again(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two, and photos have come since."""
    shutil.copytree(photos / "f0", tmp_path / "in")
    job = Job((f"{tmp_path}/in",), f"{tmp_path}/p.parquet")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Ledger, "finish", killed)
        run(job, colours)
    assert (tmp_path / "p.parquet.parts" / "whole").exists()
    save_shade(tmp_path / "in" / "zzz.png", 3)
    record = run(job, colours)
    assert pq.read_metadata(job.out).num_rows == record.photos == 30


def _disturbed(words: Sequence[str], after: float, number: signal.Signals) -> int:
    with started(words, stderr=subprocess.DEVNULL) as process:
        try:
            return process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            return process.wait(20)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.nightly),
        pytest.param(signal.SIGINT, marks=pytest.mark.nightly),
    ],
)
def test_signals_at_random_moments_of_the_real_command(
    number: signal.Signals, photos: Path, whole: Path, colour_model: Path, tmp_path: Path
) -> None:
    names = tmp_path / "list.txt"
    paths = [str(path) for path in sorted(photos.rglob("*.png"), key=os.fsencode)]
    names.write_text("\n".join(paths * 60))
    out = tmp_path / "p.parquet"
    words = command(
        *("run", f"@{names}", "--out", out, "--model", colour_model, "--max-unreadable", "100%")
    )
    moments = random.Random(int(number))
    codes = []
    for _ in range(8):
        codes.append(_disturbed(words, moments.uniform(0.3, 1.6), number))
        if codes[-1] == 0 or (out.exists() and not Path(f"{out}.parts").exists()):
            break  # (it may be done, and killed while Python was leaving)
    allowed = {0, -number if number == signal.SIGKILL else 128 + number}
    assert set(codes) <= allowed | {-number}  # before Python takes it over, it is the system's
    if not out.exists():
        assert _disturbed(words, 60, number) == 0
    table = pq.read_table(out)
    assert table["path"].to_pylist() == paths * 60
    assert table["class"].to_pylist() == pq.read_table(whole)["class"].to_pylist() * 60
    assert sorted(os.listdir(tmp_path)) == ["list.txt", "p.parquet", "p.parquet.run.json"]


def test_the_last_save_is_not_broken_by_a_signal(
    photos: Path, colour_model: Path, whole: Path, tmp_path: Path
) -> None:
    """SIGTERM in the very sync of the last part."""
    code = (
        "import os, signal, sys\n"
        "from scene_batch.outputs import local_storage\n"
        "real = local_storage.sync\n"
        "def sync(path):\n"
        "    if path.name == 'part.partial': os.kill(os.getpid(), signal.SIGTERM)\n"
        "    real(path)\n"
        "if sys.argv.pop(1) == 'hook': local_storage.sync = sync\n"
        "from scene_batch.cli import main; main()\n"
    )
    out = tmp_path / "p.parquet"
    words = ["run", str(photos), "--out", str(out), "--model", str(colour_model), "--quiet"]
    words += ["--max-unreadable", "100%"]
    for hook, want in (("hook", 143), ("none", 0)):
        done = subprocess.run(
            [sys.executable, "-c", code, hook, *words],
            env=process_environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == want, done.stderr
        assert done.stderr == b""
    assert pq.read_table(out) == pq.read_table(whole)
    assert json.loads(Path(f"{out}.run.json").read_text())["attempts"] == 2


def test_a_blocked_pipe_does_not_hold_a_signal_back(
    photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    names = tmp_path / "list.txt"
    names.write_text("\n".join([str(path) for path in photos.rglob("*.png")] * 100))
    words = command("run", f"@{names}", "--out", "-", "--model", colour_model, "--quiet")
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write, "wb"), started(words, stdout=write) as process:
        wait_for(lambda: is_full(write))  # nobody reads
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
