"""The sweep tries what there is, and what it finds is a config that a run reads."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from scene_batch.cli import main
from scene_batch.errors import ProviderError
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.pipeline.bench import BATCHES, NOISE, Measured, Setting, auto, best, sweep
from scene_batch.records import ImageRef
from support import save_shade, scene_batch


@pytest.fixture(scope="session")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("some")
    for number in range(20):
        save_shade(folder / f"{number:02}.png", number)
    return folder


def test_every_batch_size_and_other_threads_are_measured(some: Path, colour_model: Path) -> None:
    refs = [ImageRef(str(path)) for path in sorted(some.iterdir())]
    found = list(sweep(colour_model, refs, [ComputeOptions("cpu")], seconds=3))
    assert found[0].setting == Setting(ComputeOptions("cpu"))
    computes = [m.setting.compute for m in found if m.setting.workers is None]
    sizes = [compute.batch_size for compute in computes if compute.threads is None]
    assert sizes[1 : 1 + len(BATCHES["cpu"])] == list(BATCHES["cpu"])
    assert any(m.setting.workers for m in found)
    assert all(m.photos_per_second > 100 for m in found)
    took = [(m.took.compute.batch_size, m.took.compute.threads, m.took.workers) for m in found]
    assert all(None not in values for values in took)


def test_a_provider_that_does_not_run_here_is_passed_over(some: Path, colour_model: Path) -> None:
    refs = [ImageRef(str(path)) for path in sorted(some.iterdir())]
    said: list[str] = []
    asked = [ComputeOptions(provider) for provider in ("cuda", "cpu", "openvino")]
    found = list(sweep(colour_model, refs, asked[:2], seconds=2, note=said.append))
    assert {m.took.compute.provider for m in found} == {"cpu"}
    assert [text.partition(" (it has")[0] for text in said] == [
        "not cuda: provider cuda is not in this ONNX Runtime"
    ]
    with pytest.raises(ProviderError, match="none of cuda, openvino runs here"):
        list(sweep(colour_model, refs, asked[::2], seconds=5))


def test_what_is_faster_by_noise_alone_is_not_the_best() -> None:
    def measured(size: int, rate: float) -> Measured:
        setting = Setting(ComputeOptions("cpu", size, 2), 2)
        return Measured(setting, setting, rate)

    first = [measured(4, 100.0), measured(8, 100.0 / (1 - NOISE / 2))]
    assert best(first).compute.batch_size == 4
    assert auto(first).compute.batch_size == 4
    assert best([*first, measured(16, 150.0)]).compute.batch_size == 16
    mean = best([*first, measured(16, 150.0), measured(16, 10.0)])
    assert mean.compute.batch_size == 4


def test_the_config_is_one_that_run_reads(some: Path, colour_model: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "job.toml", tmp_path / "p.parquet"
    words = ["bench", some, "--model", colour_model, "--seconds", "5", "--write", config]
    done = scene_batch(*words)
    assert done.returncode == 0, done.stderr
    assert b"fastest: provider cpu, batch size" in done.stdout
    settings = tomllib.loads(config.read_text())["run"]
    assert set(settings) == {"model", "provider", "batch_size", "threads", "workers"}
    done = scene_batch("run", some, "--out", out, "--config", config)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(out).num_rows == 20
    assert f'"batch_size": {settings["batch_size"]}' in Path(f"{out}.run.json").read_text()
    assert scene_batch(*words).returncode == 1  # it is there
    done = scene_batch("bench", some, "--write", tmp_path / "missing" / "job.toml")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"make it first" in done.stderr


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command with less time than it takes from users."""

    def shortly(*words: Any, seconds: float, **more: Any) -> Iterator[Measured]:
        return sweep(*words, seconds=seconds / 5, **more)

    monkeypatch.setattr("scene_batch.pipeline.bench.sweep", shortly)
    monkeypatch.setattr(sys, "setswitchinterval", lambda seconds: None)
    return lambda *words: CliRunner().invoke(main, ["bench", *map(str, words), "--seconds", "5"])


def test_bench_needs_no_photos(bench: Callable[..., Result], colour_model: Path) -> None:
    done = bench("--model", colour_model, "--provider", "cpu")
    assert done.exit_code == 0, done.output
    assert "photos/s" in done.stdout


def test_a_provider_that_is_not_here_is_one_line(colour_model: Path) -> None:
    done = scene_batch("bench", "--model", colour_model, "--provider", "cuda", "--seconds", "5")
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: provider cuda is not in this ONNX Runtime")
    assert done.stderr.count(b"\n") == 1


def test_photos_that_cannot_be_read_are_no_measure(
    bench: Callable[..., Result], colour_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    done = bench(tmp_path, "--model", colour_model)
    assert done.exit_code == 2
    assert "no photo was classified" in done.stderr
