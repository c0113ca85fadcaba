"""A teacher: asked about what the network sees, heard in its share, and refused if unfit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scene_batch.errors import ModelError, TrainingError
from scene_batch_train.batches import Batches, mirrored, plain
from scene_batch_train.cli.train import command
from scene_batch_train.data_set import DataSet, fingerprint, prepare
from scene_batch_train.recipe import Augment, Distillation, Head
from scene_batch_train.retraining import retrain
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.stages import build_for, feature_batches, photo_batches
from scene_batch_train.teaching import Teacher, soften
from scene_batch_train.training import train
from scene_batch_train.watching import Watch
from small import small_recipe
from support import save_colour_model, save_shade


class _Stop(Exception):
    pass


_CLASSES = ("blue", "green", "red")  # sorted, as folders are; the file has another order
_ALL = Augment(rotate=20.0, shear=5.0, zoom=0.3, shift=0.1, brightness=0.3, contrast=0.3, mix=0.5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colours")
    for number in range(24):
        save_shade(folder / _CLASSES[number % 3] / f"{number:02}.png", number)
    return folder


@pytest.fixture(scope="module")
def data(photos: Path) -> DataSet:
    return prepare(photos, small_recipe())


def _open(model: Path, weight: float = 0.75, temperature: float = 1.0) -> Teacher:
    teacher = Teacher.open(Distillation(str(model), weight, temperature), _CLASSES)
    assert teacher is not None
    return teacher


def _batches(data: DataSet, change: Augment | None, teacher: Teacher | None) -> Batches:
    lessons = teacher.prepare(data) if teacher else None
    return Batches(
        data.train.pixels,
        data.train.class_indices,
        3,
        batch_size=6,
        seed=5,
        change=change,
        lesson=lessons.of_photos() if lessons else None,
    )


@pytest.mark.parametrize("change", [None, _ALL])
def test_what_is_learned_is_answers_to_the_photos_as_they_are_learned(
    data: DataSet, colour_model: Path, change: Augment | None
) -> None:
    """At the teacher's own size, in the order of the training's classes, mixed as they are."""
    teacher = _open(colour_model)
    with_teacher, without = _batches(data, change, teacher), _batches(data, change, None)
    for index in range(len(without)):
        inputs, targets = with_teacher[index]
        pixels, one_hot = without[index]
        assert np.array_equal(inputs, pixels)
        answers = (targets - 0.25 * one_hot) / 0.75
        assert answers.sum(axis=1) == pytest.approx(1, abs=1e-5)
        # The colour model's answer is the softmax of the mean colour, whatever the size.
        colours = np.exp(pixels.mean(axis=(1, 2)) / 255)[:, ::-1]  # blue, green, red
        assert answers == pytest.approx(colours / colours.sum(axis=1, keepdims=True), abs=0.03)


def test_of_the_top_s_features_each_view_is_asked_about_once(
    data: DataSet, colour_model: Path
) -> None:
    lessons = _open(colour_model).prepare(data)
    lesson = lessons.of_views((plain, mirrored))
    assert lesson.inputs.shape == (2 * len(data.train.pixels), 3)
    assert np.array_equal(lesson.answer(lesson.inputs[:5]), lesson.inputs[:5])
    direct, views = np.split(lesson.inputs, 2)
    assert direct == pytest.approx(views, abs=1e-5)  # of one colour, a mirror image is the same
    assert direct == pytest.approx(lessons.teacher.answer(lessons.photos.pixels), abs=1e-6)
    assert direct.argmax(axis=1).tolist() != data.train.class_indices.tolist()  # not the labels


def test_a_temperature_divides_the_logits() -> None:
    logits = np.array([[3.0, 0.0, -200.0], [1.0, 1.0, 1.0]])

    def softmax(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray:
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    given = softmax(logits).astype(np.float32)
    for temperature in (0.5, 1.0, 4.0):
        assert soften(given, temperature) == pytest.approx(softmax(logits / temperature), abs=1e-5)


def test_a_teacher_that_cannot_teach_is_refused(
    colour_model: Path, tiny_run: RunFolder, tmp_path: Path
) -> None:
    def refused(teacher: Path, classes: tuple[str, ...], words: str) -> None:
        with pytest.raises((TrainingError, ModelError), match=words):
            Teacher.open(Distillation(str(teacher)), classes)

    refused(colour_model, ("blue", "green"), "has other classes .* has 'red'; take a teacher")
    refused(colour_model, ("a", "b", "c", "red"), "has 'a', 'b', 'blue' and more")
    refused(tiny_run.path, ("dark", "light"), "has 'bright', 'light'")
    refused(tmp_path, ("dark",), "not a finished training run: it has no model.keras")
    refused(tmp_path / "gone.onnx", ("dark",), "gone.onnx")
    for nothing in (Distillation(), Distillation(str(tmp_path / "gone"), weight=0.0)):
        assert Teacher.open(nothing, ("dark",)) is None


def test_a_teacher_of_other_photos_is_said(
    data: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what was trained on these very photos has not seen those that are held back."""
    teacher = _open(save_colour_model(tmp_path / "other.onnx"))
    own = fingerprint(teacher.prepare(data).photos)
    assert "not trained on exactly these" in capsys.readouterr().err
    same = save_colour_model(tmp_path / "same.onnx", training={"data": {"sha256": own}})
    _open(same).prepare(data)
    assert "not trained on" not in capsys.readouterr().err


@pytest.mark.parametrize("of_features", [True, False])
def test_both_stages_learn_what_the_teacher_says_and_are_judged_by_the_labels(
    data: DataSet, colour_model: Path, of_features: bool
) -> None:
    recipe = small_recipe(head=Head(batch_size=8))
    lessons = _open(colour_model, weight=1.0).prepare(data)
    if of_features:
        model = build_for(recipe, len(_CLASSES))
        train, validation = feature_batches(model, data, recipe, lessons)
    else:
        plain_recipe = dataclasses.replace(recipe, augment=Augment(flip=False))
        train, validation = photo_batches(data, plain_recipe, 8, lessons)
    said = lessons.teacher.answer(lessons.photos.pixels)
    learned = np.concatenate([train[index][1] for index in range(len(train))])
    assert len(learned) == len(said) * (2 if of_features else 1)
    for row in learned:  # in the order of an epoch
        assert np.abs(said - row).max(axis=1).min() < 1e-3
    labels = np.concatenate([validation[index][1] for index in range(len(validation))])
    assert np.array_equal(labels.argmax(axis=1), data.validation.class_indices)
    assert set(labels.ravel()) == {0.0, 1.0}


def test_a_run_says_whose_answers_it_learns_and_goes_on_with_no_other(
    labelled: Path, tiny_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small_recipe(distillation=Distillation(str(tiny_run.path), weight=1.0))
    known, run = prepare(labelled, recipe), RunFolder(tmp_path / "run")
    teacher = Teacher.open(recipe.distillation, known.classes)
    assert teacher is not None
    with run.held():
        run.write_config(recipe, known.description, None, {**teacher.identity, "sha256": "0" * 64})
    with pytest.raises(TrainingError, match="unfinished run with another teacher"):
        train(labelled, recipe, run.path)
    run.config.unlink()
    run.write_config(recipe, known.description, None, teacher.identity)
    config = run.read_config()
    assert (config["teacher"]["version"], len(config["teacher"]["sha256"])) == ("1.0.0", 64)

    def stop(*_: object, **__: object) -> None:
        raise _Stop

    monkeypatch.setattr(Watch, "on_train_batch_end", stop)
    with pytest.raises(_Stop):
        train(labelled, recipe, run.path)
    assert run.read_config() == config


def test_the_command_line_s_teacher_goes_before_the_config_s(photos: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[train]\nheight = 71\nwidth = 71\n[train.distillation]\nteacher = "a.onnx"')
    asked = [str(photos), "--config", str(config), "--out", str(tmp_path / "run")]
    for options, file in (([], "a.onnx"), (["--teacher", "b.onnx"], "b.onnx")):
        error = CliRunner().invoke(command, [*asked, *options]).exception
        assert isinstance(error, ModelError)
        assert file in str(error)
    assert not (tmp_path / "run").exists()


def test_who_retrains_asks_no_teacher(tiny_run: RunFolder, tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny_run.read_recipe(), distillation=Distillation("x.onnx"))
    with pytest.raises(TrainingError, match=r"take \[train.distillation\] out of the config"):
        retrain(tiny_run.path, tmp_path, recipe)
