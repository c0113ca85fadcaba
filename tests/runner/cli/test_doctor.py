"""``doctor`` passes on a sound machine, and names what is wrong with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from buckets import Bucket
from faults import Fault
from scene_batch.cli import main
from scene_batch.model import model_file
from support import scene_batch, with_scale


def test_a_sound_machine(tmp_path: Path) -> None:
    done = scene_batch("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    text = done.stdout.decode()
    for words in ("python 3.", "pyarrow ", "providers ", "usable of the host's", "takes tables"):
        assert words in text
    assert "computes here what was exported" in text
    assert text.splitlines()[-1] == "all is well"
    assert list(tmp_path.iterdir()) == []


def _doctor(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["doctor", *options])
    return result.exit_code, result.output


def test_two_flavours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("onnxruntime", "onnxruntime_gpu"):
        (tmp_path / f"{name}-1.31.1.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    code, text = _doctor()
    assert code == 1
    assert "onnxruntime: WRONG: onnxruntime and onnxruntime-gpu" in text
    assert "pip uninstall -y" in text


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    code, text = _doctor("--folder", str(tmp_path / "gone"))
    assert code == 1
    assert "folder: WRONG: " in text
    assert "1 of 6 checks failed" in text


def test_a_bucket(bucket: Bucket) -> None:
    bucket.put("in/a.jpg", b"x")
    code, text = _doctor("--folder", f"{bucket.url}/in")
    assert (code, bucket.keys()) == (0, ["in/a.jpg"])
    assert f"folder: '{bucket.url}/in' takes tables" in text
    bucket.front.decide = lambda r: Fault(403, "AccessDenied") if r.method == "PUT" else None
    code, text = _doctor("--folder", f"{bucket.url}/in")
    assert code == 1
    assert "folder: WRONG: cannot write" in text
    assert "access denied" in text


def test_an_embedded_model_that_computes_something_else(
    colour_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered = with_scale(colour_model, -1.0, tmp_path / "m.onnx")
    monkeypatch.setattr(model_file, "EMBEDDED", altered)
    code, text = _doctor()
    assert code == 1
    assert "model: WRONG: the embedded model gives other classes" in text
