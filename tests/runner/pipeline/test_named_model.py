"""Models by URL, wherever a command or a program names one."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path

import onnx
import pytest

from buckets import Bucket
from faults import Fault, slow_down
from front import Front
from scene_batch.classifier import Classifier
from scene_batch.cli.bench import _config
from scene_batch.errors import LedgerError, ModelError, ModelNotFoundError, UsageError
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.session import Session
from scene_batch.object_store import download
from scene_batch.outputs import saved
from scene_batch.pipeline.bench import Setting
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.named_model import begin_model
from scene_batch.pipeline.opening import run_job
from scene_batch.tables.run_record import RunRecord
from support import (
    Watch,
    broken_off_at,
    command,
    process_environment,
    rows_of,
    save_photo,
    scene_batch,
    wait_for,
    with_scale,
)

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models of an empty cache."""
    monkeypatch.setenv("SCENE_BATCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A red one."""
    return save_photo(tmp_path / "photos" / "a.png")


@pytest.fixture
def url(bucket: Bucket, colour_model: Path) -> str:
    """A model in a bucket."""
    bucket.put("models/m.onnx", colour_model.read_bytes())
    return f"{bucket.url}/models/m.onnx"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _wrong_line(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a command said that was refused: the last line, and nothing of a defect."""
    assert (done.returncode in (1, 2), b"Traceback" in done.stderr) == (True, False)
    return done.stderr.decode().splitlines()[-1]


def test_every_command_takes_a_url_and_all_of_them_fetch_once(
    url: str, bucket: Bucket, colour_model: Path, photo: Path, tmp_path: Path
) -> None:
    config = tmp_path / "job.toml"
    config.write_text(f"[run]\nmodel = '{url}'\n")
    out = tmp_path / "p.parquet"
    run = ["run", photo, "--out", out, "--overwrite"]
    first = scene_batch(*run, "--config", config)
    assert (first.returncode, b"fetching 's3://" in first.stderr) == (0, True)
    assert [row["class"] for row in rows_of(out)] == ["red"]
    assert json.loads(Path(f"{out}.run.json").read_text())["model"]["sha256"] == _sha256(
        colour_model
    )
    done = scene_batch(*run, environment={"SCENE_BATCH_RUN_MODEL": url})
    assert (done.returncode, b"fetching" in done.stderr) == (0, False)
    shown = json.loads(scene_batch("inspect", url).stdout)
    assert (shown["file"], shown["name"]) == (url, "colours")
    assert b"3 of 3 golden photos" in scene_batch("verify", url).stdout
    classifier = Classifier.load(url, compute=ComputeOptions("cpu"))
    assert [row.class_name for row in classifier.classify([photo])] == ["red"]  # type: ignore[union-attr]
    bucket.delete("models/m.onnx")
    pinned = Classifier.load(url, model_sha256=_sha256(colour_model).upper())
    assert pinned.card == classifier.card
    assert len(bucket.front.requests) == 5


def test_a_box_without_a_network_starts_with_the_sha256_and_says_so_without(
    url: str,
    bucket: Bucket,
    colour_model: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "FIRST_SECONDS", 0.3)
    begin_model(url).check()
    bucket.front.decide = lambda _: slow_down()
    with pytest.raises(ModelError, match=f"cannot fetch {url!r}: no sound answer") as caught:
        begin_model(url).check()
    assert str(caught.value).endswith(f"give --model-sha256 {_sha256(colour_model)}")
    words = ["run", photo, "--out", tmp_path / "p.parquet", "--model", url]
    bucket.front.requests.clear()
    assert scene_batch(*words, "--model-sha256", _sha256(colour_model)).returncode == 0
    assert bucket.front.requests == []


def test_another_model_than_the_one_that_is_meant_is_refused_and_not_kept(
    url: str, bucket: Bucket, colour_model: Path, cache: Path
) -> None:
    with pytest.raises(
        ModelError, match=rf"{url}' has the sha256 .*, which is not that of --model-sha256"
    ):
        begin_model(url, "0" * 64).check()
    assert list(cache.iterdir()) == []
    for data in (b"<html>log in</html>", colour_model.read_bytes()[:-9]):
        bucket.put("models/m.onnx", data)
        with pytest.raises(ModelError, match=rf"{url}' is not an ONNX file or is damaged"):
            begin_model(url).check()
        assert list(cache.iterdir()) == []


def test_a_run_goes_on_with_the_same_model_wherever_it_is_named_and_with_no_other(
    url: str,
    bucket: Bucket,
    colour_model: Path,
    album: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saved, "PART_ROWS", 8)

    def begun(model: Path | str, watch: Watch) -> RunRecord:
        compute = ComputeOptions("cpu", batch_size=8)
        job = Job((str(album),), str(tmp_path / "p.parquet"), model=model, compute=compute)
        with Interruption() as interruption:
            return run_job(job, watch, interruption)

    with pytest.raises(KeyboardInterrupt):
        begun(colour_model, Watch(broken_off_at(16)))
    other = with_scale(colour_model, 0.1, tmp_path / "o.onnx")
    bucket.put("models/m.onnx", other.read_bytes())
    with pytest.raises(LedgerError, match="model"):
        begun(url, Watch())
    bucket.put("models/m.onnx", colour_model.read_bytes())
    assert begun(url, Watch()).attempts == 2


def test_no_signature_is_said_or_written(
    colour_model: Path, photo: Path, tmp_path: Path, cache: Path
) -> None:
    data = colour_model.read_bytes()
    with Front(decide=lambda _: Fault(200, content=data, headers=(("ETag", '"1"'),))) as front:
        url = f"{front.url}/m.onnx?X-Amz-Signature=s3cr3t"
        out = tmp_path / "p.parquet"
        done = scene_batch("run", photo, "--out", out, "--model", url)
        assert done.returncode == 0, done.stderr
        shown = scene_batch("inspect", url)
        front.decide = lambda _: Fault(403)
        wrong = scene_batch("verify", url)
        bench = scene_batch("bench", photo, "--model", url, "--write", tmp_path / "job.toml")
        slip = scene_batch("inspect", url.replace("//", "/"))
    assert "access denied by the server; so nobody knows" in _wrong_line(wrong)
    assert "--write would write the query" in _wrong_line(bench)
    assert "is no URL: two slashes come first" in _wrong_line(slip)
    assert json.loads(shown.stdout)["file"] == f"{front.url}/m.onnx?…"
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = [run.stdout + run.stderr for run in (done, shown, wrong, bench, slip)]
    assert b"s3cr3t" not in b"".join(written + said)


@pytest.mark.parametrize("stalls", ["question", "body"])
def test_a_signal_is_heard_while_a_model_is_fetched(
    stalls: str, url: str, bucket: Bucket, photo: Path, tmp_path: Path, cache: Path
) -> None:
    fault = Fault(delay=60) if stalls == "question" else Fault(sent=0.5, stall=60)
    bucket.front.decide = lambda _: fault
    words = command("run", photo, "--out", tmp_path / "p.parquet", "--model", url)
    with subprocess.Popen(words, env=process_environment(), stderr=subprocess.PIPE) as process:
        wait_for(lambda: bucket.front.requests)
        if stalls == "body":
            wait_for(lambda: list(cache.glob("*.partial")))
        time.sleep(0.5)  # the run waits for nothing else
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - begun < 2
    assert (process.returncode, b"Traceback" in said) == (143, False)
    assert list(tmp_path.glob("p.*")) == []
    assert list(cache.glob("*.onnx")) == []


def test_a_refusal_does_not_wait_for_a_model_that_is_on_its_way(
    url: str, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.front.decide = lambda _: Fault(delay=60)
    begun = time.monotonic()
    job = Job((str(tmp_path / "gone"),), str(tmp_path / "p.parquet"), model=url)
    with pytest.raises(FileNotFoundError), Interruption() as interruption:
        run_job(job, Watch(), interruption)
    assert time.monotonic() - begun < 3


def test_a_model_that_was_given_up_is_not_opened(url: str, bucket: Bucket) -> None:
    bucket.front.decide = lambda _: Fault(delay=0.3)
    file = begin_model(url)
    assert file.give_up()
    with pytest.raises(ModelError, match="not waited for"):
        Session.open(file, ComputeOptions("cpu"))
    assert not file.give_up()


def test_what_a_program_should_know_of_the_cache_is_in_the_sessions_note(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCENE_BATCH_CACHE", str(tmp_path / "file" / "cache"))
    session = Classifier.load(url, compute=ComputeOptions("cpu")).predictor.session
    assert "no file can be kept in" in session.note


def test_what_is_wrong_with_a_fetched_model_is_said_of_its_url(
    url: str, bucket: Bucket, colour_model: Path, tmp_path: Path
) -> None:
    bare = onnx.load(colour_model)
    del bare.metadata_props[:]
    bucket.put("models/m.onnx", bare.SerializeToString())
    with pytest.raises(ModelError, match=f"^'{url}' has no scene-batch metadata"):
        Session.open(begin_model(url), ComputeOptions("cpu"))


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("s3://bucket", UsageError, "no file's URL"),
        ("s3://bucket/models/", UsageError, "no file's URL"),
        ("https://host", UsageError, "no file's URL"),
        ("ftp://host/m.onnx", UsageError, "no URL that can be opened"),
        ("s3://b/m.onnx?sig=s3cr3t", UsageError, "has a signature in it"),
        (Path("s3://bucket/m.onnx"), UsageError, "two slashes come first"),
        ("gone.onnx", ModelNotFoundError, "no such model file: 'gone.onnx'"),
        ("C:/gone.onnx", ModelNotFoundError, "no such model file"),
    ],
)
def test_a_name_that_is_no_models_is_refused(
    name: str | Path, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        begin_model(name).check()
    assert "s3cr3t" not in str(caught.value)


def test_answers_are_not_saved_into_a_url(url: str, bucket: Bucket) -> None:
    says = _wrong_line(scene_batch("verify", url, "--save-answers"))
    assert says == "Error: --save-answers writes into a file of this machine: name that file"
    assert bucket.front.requests == []


def test_a_config_of_bench_names_the_url_and_its_sha256(tmp_path: Path) -> None:
    setting = Setting(ComputeOptions("cpu", 8, 2))
    text = _config(setting, "s3://bucket/m.onnx", "ab" * 32)
    assert f'model = "s3://bucket/m.onnx"\nmodel_sha256 = "{"ab" * 32}"\n' in text
    assert f'model = "{Path("m.onnx").resolve()}"' in _config(setting, "m.onnx", None)
