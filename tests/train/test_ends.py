"""Commands that a signal or a full disk ends: one line, an exit code, and the same goes on."""

from __future__ import annotations

import os
import shutil
import signal
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner

from scene_batch.cli import main
from scene_batch.errors import OutputError
from scene_batch_export import exporting
from scene_batch_train import retraining, training, tuning
from scene_batch_train.recipe import FineTune, Head, Recipe
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.training import train
from small import small_recipe
from support import ROOT

_CONFIG = str(ROOT / "configs" / "scenes.toml")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize(
    ("module", "name", "words", "remedy"),
    [
        (training, "train", ["train", "d", "--config", _CONFIG, "--out", "o"], "goes on after"),
        (retraining, "retrain", ["train", "--from", "r", "--add", "a"], "goes on after"),
        (tuning, "tune", ["tune", "d", "--config", _CONFIG, "--out", "o"], "goes on after"),
        (exporting, "export", ["export", "r", "--out", "m.onnx"], "nothing was written"),
    ],
)
def test_a_signal_is_said_with_what_to_do(
    number: int, code: int, module: object, name: str, words: list[str], remedy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("this process ignores the signal")

    def killed(*_: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr(module, name, killed)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code
    assert done.output.startswith("interrupted; ")
    assert remedy in done.output


_Usage = namedtuple("_Usage", "total used free")


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe: Recipe = small_recipe(
        head=Head(epochs=3, batch_size=8), fine_tune=FineTune(epochs=0), weights="none"
    )
    asked = 0

    def usage(_: Path) -> _Usage:
        nonlocal asked
        asked += 1
        return _Usage(1 << 30, 0, 1 << 30 if asked < 4 else 1000)  # in the second epoch

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", usage)
        with pytest.raises(OutputError, match=r"no room in .* free; make room, and the same"):
            train(labelled, recipe, tmp_path / "run")
    metrics = train(labelled, recipe, tmp_path / "run")
    assert metrics["head_epochs"] == 3
    run = RunFolder.open(tmp_path / "run")
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["lock"]
