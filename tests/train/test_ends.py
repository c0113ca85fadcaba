"""Commands that a signal or a full disk ends: one line, an exit code, and the same goes on."""

from __future__ import annotations

import logging
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
from scene_batch_train import quiet, retraining, training, tuning
from scene_batch_train.continuing import Backup, KeepBest, check_room
from small import small_network
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


def test_a_full_disk_is_one_line_before_a_file_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_network(2)
    model.compile("adam", "categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    backup, best = Backup(tmp_path / "head.backup"), KeepBest(tmp_path / "head.weights.h5", [])
    for callback in (backup, best):
        callback.set_model(model)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(1 << 30, 1 << 30, 1000))
    for callback in (backup, best):
        with pytest.raises(OutputError, match=r"no room in .* free; make room, and the same"):
            callback.on_epoch_end(0, {"val_loss": 1.0})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    best.on_epoch_end(0, {"val_loss": 1.0})
    size = (tmp_path / "head.weights.h5").stat().st_size
    needed = check_room(tmp_path, [*model.variables, *model.optimizer.variables])
    assert size <= needed <= 1.5 * size


def test_tensorflow_does_not_say_how_it_traces_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    logger = logging.getLogger("tensorflow")
    monkeypatch.setattr(logger, "level", logging.WARNING)
    quiet.import_keras()
    assert not logger.isEnabledFor(logging.WARNING)
