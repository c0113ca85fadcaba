"""Another Keras backend, where TensorFlow has no GPU: what it trains is exported all the same."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from scene_batch.model import golden
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch_export.exporting import Wish, export
from scene_batch_train.recipe import Augment, FineTune, Head
from scene_batch_train.run_folder import RunFolder
from small import small_recipe
from support import process_environment


@pytest.mark.nightly
def test_what_jax_trains_tensorflow_exports(labelled: Path, tmp_path: Path) -> None:
    recipe = small_recipe(
        width_multiplier=1 / 64,  # of few shapes: JAX compiles what makes weights for each of them
        precision="auto",
        class_weights="balanced",
        head=Head(epochs=1, batch_size=6, frozen="block14"),
        fine_tune=FineTune(epochs=0),
        augment=Augment(flip=False),
    )
    config, run = tmp_path / "c.toml", tmp_path / "run"
    config.write_text(tomli_w.dumps({"train": dataclasses.asdict(recipe)}))
    code = "from scene_batch.cli import main; main()"
    done = subprocess.run(  # not with -W error: JAX warns of its own
        [sys.executable, "-c", code, "train", labelled, "--config", config, "--out", run],
        # To compile takes longer than to run what is compiled.
        env=process_environment({"KERAS_BACKEND": "jax", "JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}),
        capture_output=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert b"validation accuracy" in done.stderr
    assert RunFolder.open(run).read_metrics()["backend"] == "jax"
    export(Wish(run, tmp_path / "m.onnx"), lambda _: None)
    results = golden.check(Predictor.open(tmp_path / "m.onnx", ComputeOptions("cpu")))
    assert all(result.passed for result in results)
