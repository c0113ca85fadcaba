"""A model file that was damaged anywhere is refused when it is opened, before any row."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scene_batch.cli import main
from scene_batch.cli.progress import Progress
from scene_batch.errors import ModelError
from scene_batch.model import session
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.digest import file_state, read_digest, with_digest
from scene_batch.model.session import NO_DIGEST, Session
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.opening import run_job
from support import save_model, save_photo, scene_batch

_CPU = ComputeOptions("cpu")


def _is_refused(data: bytes, path: Path) -> bool:
    path.write_bytes(data)
    if read_digest(path).fault:  # Session.open refuses each of them, but slower
        return True
    try:
        Session.open(path, _CPU)
    except ModelError as error:
        assert "\n" not in str(error)
        return True
    return False


def test_one_flipped_bit_anywhere_is_seen(colour_model: Path, tmp_path: Path) -> None:
    data = colour_model.read_bytes()
    mark = data.index(b"scene_batch.has_digest")
    anywhere = np.random.default_rng(4).integers(0, 8 * len(data), 400).tolist()
    around_the_mark = range(8 * (mark - 4), 8 * (mark + 30))
    around_the_digest = range(8 * (len(data) - 95), 8 * len(data))
    missed = []
    for bit in (*anywhere, *around_the_mark, *around_the_digest):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        if not _is_refused(damaged, tmp_path / "m.onnx"):
            missed.append(bit)
    assert missed == []


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(where=st.floats(0, 1), noise=st.binary(min_size=1, max_size=3000))
def test_a_run_of_other_bytes_is_seen(
    where: float, noise: bytes, colour_model: Path, tmp_path: Path
) -> None:
    data = colour_model.read_bytes()
    at = int(where * (len(data) - 1))
    damaged = (data[:at] + noise + data[at + len(noise) :])[: len(data)]
    assert damaged == data or _is_refused(damaged, tmp_path / "m.onnx")


def test_a_file_that_was_cut_off_or_went_on_is_seen(colour_model: Path, tmp_path: Path) -> None:
    data = colour_model.read_bytes()
    cuts = {*range(0, len(data), 97), *range(len(data) - 120, len(data))}
    missed = [end for end in sorted(cuts) if not _is_refused(data[:end], tmp_path / "m.onnx")]
    assert missed == []
    for more in (b"\0", b"\x08\x09", data, data[-95:]):
        assert _is_refused(data + more, tmp_path / "m.onnx")


def test_every_command_refuses_a_damaged_file_in_one_line(
    colour_model: Path, tmp_path: Path
) -> None:
    data, photo = bytearray(colour_model.read_bytes()), save_photo(tmp_path / "a.png")
    data[data.index(b"Softmax")] ^= 1
    model = tmp_path / "m.onnx"
    model.write_bytes(data)
    for words in (
        ["run", photo, "--out", tmp_path / "p.csv", "--model", model],
        ["verify", model],
        ["inspect", model],
        ["bench", photo, "--model", model, "--seconds", "5"],
    ):
        done = scene_batch(*words)
        said = done.stderr.decode().splitlines()
        assert (done.returncode, len(said)) == (1, 1), said
        assert "is damaged (its digest differs); copy or export it again" in said[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "m.onnx"]


def test_a_file_from_before_there_were_digests_runs_and_says_so(
    colour_model: Path, tmp_path: Path
) -> None:
    old = onnx.load(colour_model)
    props = [p for p in old.metadata_props if not p.key.endswith("digest")]
    del old.metadata_props[:]
    old.metadata_props.extend(props)
    onnx.save(old, tmp_path / "old.onnx")
    opened = Session.open(tmp_path / "old.onnx", _CPU)
    assert (opened.note, opened.has_digest) == (NO_DIGEST, False)
    done = scene_batch("verify", tmp_path / "old.onnx")
    assert (done.returncode, NO_DIGEST in done.stdout.decode()) == (0, True)
    assert Session.open(save_model(old, tmp_path / "new.onnx"), _CPU).note == ""


def test_the_digest_changes_nothing_but_itself(colour_model: Path) -> None:
    data = colour_model.read_bytes()
    assert with_digest(data) == data
    other = {"scene_batch.format": "1", "scene_batch.name": '"ä"' * 200}
    rewritten = onnx.load_from_string(with_digest(data, other))
    assert rewritten.graph == onnx.load(colour_model).graph
    found = {entry.key: entry.value for entry in rewritten.metadata_props}
    assert {key: found.get(key) for key in other} == other
    assert set(found) - set(other) == {"scene_batch.has_digest", "scene_batch.digest"}


def test_both_hashes_are_of_the_file(colour_model: Path) -> None:
    found = read_digest(colour_model)
    assert found.sha256 == hashlib.sha256(colour_model.read_bytes()).hexdigest()
    assert found.state == file_state(colour_model.stat())


@pytest.mark.parametrize("how", [os.replace, lambda new, old: old.write_bytes(new.read_bytes())])
def test_a_file_that_is_replaced_while_it_is_read_is_refused(
    how: Callable[[Path, Path], object],
    colour_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    for path in (old, new):
        path.write_bytes(colour_model.read_bytes())
    start = session.start

    def replace_and_start(runtime: object, path: Path, options: ComputeOptions) -> object:
        how(new, old)
        return start(runtime, path, options)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "start", replace_and_start)
    with pytest.raises(ModelError, match="was replaced or written while it was read"):
        Session.open(old, _CPU)


def test_only_the_file_with_the_sha256_asked_for_runs(colour_model: Path, tmp_path: Path) -> None:
    own = hashlib.sha256(colour_model.read_bytes()).hexdigest()
    photo, out = save_photo(tmp_path / "a.png"), tmp_path / "p.csv"
    for command in (
        ["run", photo, "--out", out, "--model", colour_model],
        ["verify", colour_model],
    ):
        other = scene_batch(*command, "--model-sha256", own[:-1] + ("1" if own[-1] == "0" else "0"))
        said = other.stderr.decode().splitlines()
        assert (other.returncode, len(said)) == (1, 1), said
        assert f"has the sha256 {own}, which is not that of --model-sha256" in said[0]
        for no_sha256 in (own[1:], own + "0", "g" + own[1:], ""):
            wrong = CliRunner().invoke(main, [*map(str, command), "--model-sha256", no_sha256])
            assert wrong.exit_code == 2
            assert "is not a sha256, which is 64 hex digits" in wrong.stderr
        assert not out.exists()
        done = scene_batch(*command, "--model-sha256", own.upper())
        assert done.returncode == 0, done.stderr
        out.unlink(missing_ok=True)


def test_a_job_asks_for_a_sha256_too(colour_model: Path, tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "a.png")
    job = Job((str(photo),), str(tmp_path / "p.csv"), model=colour_model, model_sha256="0" * 64)
    with pytest.raises(ModelError, match="not that of --model-sha256"):
        run_job(job, Progress(quiet=True, as_json=False), Interruption())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
