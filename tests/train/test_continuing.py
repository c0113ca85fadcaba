"""A training that is broken off at any moment goes on as if it had not been."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from scene_batch.errors import OutputBusyError, TrainingError
from scene_batch_train.continuing import Backup, Commit, KeepBest, Patience
from scene_batch_train.data_set import prepare
from scene_batch_train.recipe import Recipe
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.splitting import VALIDATION
from scene_batch_train.training import train
from scene_batch_train.watching import Watch
from small import small_recipe


class _Stop(Exception):
    pass


@pytest.mark.nightly
def test_a_training_that_is_broken_off_goes_on_to_the_same_network(
    labelled: Path,
    tiny_recipe: Recipe,
    tiny_run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = tiny_run.read_metrics()
    real, begun = Watch.on_train_batch_end, 0

    def stop_in_second_epochs(self: Watch, batch: int, logs: dict[str, float]) -> None:
        nonlocal begun
        real(self, batch, logs)
        begun += 1
        if begun in {7, 16}:  # in the second epoch of the head, of 5 batches, and of the rest, of 3
            raise _Stop

    monkeypatch.setattr(Watch, "on_train_batch_end", stop_in_second_epochs)
    for _ in range(2):
        with pytest.raises(_Stop):
            train(labelled, tiny_recipe, tmp_path / "broken")
    other = dataclasses.replace(tiny_recipe, seed=7)
    with pytest.raises(TrainingError, match="unfinished run with another recipe"):
        train(labelled, other, tmp_path / "broken")
    broken = train(labelled, tiny_recipe, tmp_path / "broken")
    assert (broken["head_epochs"], broken["fine_tuned_epochs"]) == (2, 2)
    assert broken["validation"] == whole["validation"]
    ours, theirs = (
        keras.models.load_model(run.model, compile=False).get_weights()
        for run in (RunFolder(tmp_path / "broken"), tiny_run)
    )
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))
    ours, theirs = (
        [(row["stage"], row["epoch"]) for row in run.read_history()]
        for run in (RunFolder.open(tmp_path / "broken"), tiny_run)
    )
    assert ours == theirs


def test_a_run_that_began_before_networks_had_a_size_goes_on_as_the_whole_one(
    tmp_path: Path,
) -> None:
    run = RunFolder(tmp_path)
    run.write_config(Recipe(), {"photos": 1}, None)
    config = json.loads(run.config.read_text())
    del config["recipe"]["width_multiplier"], config["recipe"]["middle_blocks"]
    run.config.write_text(json.dumps(config))
    assert run.read_recipe() == Recipe()
    with pytest.raises(TrainingError, match="unfinished run with another recipe"):
        run.write_config(Recipe(middle_blocks=2), {"photos": 1}, None)
    run.write_config(Recipe(), {"photos": 1}, None)


def test_changed_validation_photos_are_noticed(labelled: Path, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(labelled, tmp_path / "photos"))
    recipe = small_recipe()
    data, run = prepare(photos, recipe), RunFolder(tmp_path)
    run.write_config(recipe, data.description)
    held = next(Path(ref.path) for ref, _, part in data.rows if part == VALIDATION)
    other = Image.open(held).rotate(90)
    other.save(held)
    with pytest.raises(TrainingError, match="unfinished run with another data"):
        run.write_config(recipe, prepare(photos, recipe).description)
    config = json.loads(run.config.read_text())
    del config["data"]["validation_sha256"]  # as runs of before have it
    run.config.write_text(json.dumps(config))
    run.write_config(recipe, data.description)


def test_a_kill_while_an_epoch_is_saved_makes_it_be_done_again(tmp_path: Path) -> None:
    """Each of an epoch's callbacks in turn is the process's last."""
    run = RunFolder(tmp_path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    folder, best = run.backup("head"), run.checkpoint("head")
    folder.parent.mkdir(parents=True)

    def callbacks(before: list[float]) -> list[keras.callbacks.Callback]:
        made = [Backup(folder), KeepBest(best, before), Watch("head", run.history), Commit(folder)]
        for callback in made:
            callback.set_params({"epochs": 9, "steps": 1})
            callback.set_model(model)
        return made

    def rows() -> list[float]:
        run.forget_broken_epochs()
        return [float(row["val_loss"]) for row in run.read_history()]

    def live(epoch: int, loss: float, count: int) -> None:
        for callback in callbacks(rows())[:count]:
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, {"loss": loss, "val_loss": loss})

    for killed_after in (1, 2, 3):  # the first epoch
        live(0, 5.0, killed_after)
        assert run.epochs_done("head") == 0
    live(0, 5.0, 4)
    for killed_after in (1, 2, 3):  # a better one
        model.layers[0].bias.assign([float(killed_after)])
        live(1, 4.0, killed_after)
        assert run.epochs_done("head") == 1
        assert rows() == [5.0]
    (folder.with_name("head.backup.partial") / "latest.weights.h5").write_bytes(b"half")
    live(1, 4.0, 4)
    assert run.epochs_done("head") == 2
    assert rows() == [5.0, 4.0]
    folder.rename(folder.with_name("head.backup.old"))  # a kill between the renames
    assert run.epochs_done("head") == 2
    model.layers[0].bias.assign([0.0])
    restored = callbacks(rows())[0]
    restored.on_train_begin()
    assert model.layers[0].bias.numpy().tolist() == [3.0]
    model.layers[0].bias.assign([0.0])
    model.load_weights(best)
    assert model.layers[0].bias.numpy().tolist() == [3.0]
    live(2, 6.0, 4)  # a worse one leaves the best weights
    model.layers[0].bias.assign([0.0])
    model.load_weights(best)
    assert model.layers[0].bias.numpy().tolist() == [3.0]


def test_patience_counts_the_epochs_of_earlier_processes() -> None:
    assert not Patience(2, []).is_out
    assert not Patience(2, [3.0, 1.0, 2.0]).is_out
    assert Patience(2, [3.0, 1.0, 2.0, 1.5]).is_out
    waiting = Patience(2, [1.0, 2.0])
    waiting.set_model(keras.Sequential([keras.layers.Dense(1)]))
    waiting.on_epoch_end(2, {"val_loss": 1.5})
    assert waiting.model.stop_training


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.held():
        with pytest.raises(OutputBusyError, match="another process trains in"), run.held():
            pass
        assert run.path.exists()
