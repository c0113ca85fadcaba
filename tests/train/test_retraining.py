"""Retraining: good photos are learned, wrong labels are refused, and nothing is lost on the way."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scene_batch.errors import TrainingError
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.session import Session
from scene_batch_export.exporting import Wish, export
from scene_batch_train import retraining
from scene_batch_train.data_set import DataSet
from scene_batch_train.new_photos import find_new
from scene_batch_train.recipe import Augment, Distillation, FineTune, Head, Recipe
from scene_batch_train.retraining import Verdict, retrain
from scene_batch_train.run_folder import Origin, RunFolder
from scene_batch_train.splitting import TRAIN, VALIDATION, read_split
from scene_batch_train.training import train
from sharing import shared
from small import SIDE, save_settled_weights, small_recipe
from support import scene_batch

_OLD, _NEW = 80, 60


def _save(folder: Path, name: str, look: str, count: int, seed: int) -> None:
    """Photos of "left" and "right", whose bright side says which; in the new look it is dark."""
    random = np.random.default_rng(seed)
    (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = random.integers(0, 90, (SIDE, SIDE, 3), np.int64)
        side = slice(0, 36) if name == "left" else slice(36, None)
        pixels[:, side] += 150
        if look == "new":
            pixels = 255 - pixels
            pixels[..., 2] = 0
        photo = Image.fromarray(pixels.astype(np.uint8))
        photo.save(folder / name / f"{look}{seed}-{number:03}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run beside its photos."""
    return shared(tmp_path_factory, "retraining", _train) / "run"


def _train(folder: Path) -> None:
    for seed, name in enumerate(("left", "right")):
        _save(folder / "photos", name, "old", _OLD, seed)
    recipe = small_recipe(
        weights=str(save_settled_weights(folder / "weights.npz")),
        dropout=0.0,
        label_smoothing=0.0,
        head=Head(epochs=5, batch_size=8),
        fine_tune=FineTune(epochs=0),
        augment=Augment(flip=False),
    )
    metrics = train(folder / "photos", recipe, folder / "run")
    assert metrics["validation"]["accuracy"] >= 0.95


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_good_photos_in_a_new_look_are_learned(run: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("left", "right"), 10):
        _save(tmp_path / "new", name, "new", _NEW, seed)
    config = RunFolder(run).read_config()
    config["recipe"]["distillation"]["teacher"] = "gone.onnx"  # it taught once, and is not asked
    RunFolder(run).config.write_text(json.dumps(config))
    before = _files(run)
    verdict = retrain(run, tmp_path / "new")
    assert verdict.objection is None
    assert (verdict.old_photos, verdict.new_photos) == (40, 30)
    assert verdict.new_before <= 0.7
    assert verdict.new_after >= 0.9
    assert verdict.old_after >= verdict.old_before - 0.005
    assert _files(tmp_path / "run.v1.0.0") == before
    taken = RunFolder.open(run)
    assert taken.read_version() == "1.1.0"
    assert taken.read_recipe().distillation == Distillation()
    origin = taken.read_config()["from"]
    assert origin["version"] == "1.0.0"
    assert origin["model_sha256"] == hashlib.sha256(before["model.keras"]).hexdigest()
    assert taken.read_metrics()["retraining"]["new_after"] == verdict.new_after
    validation = {ref.path for ref, _ in read_split(taken.split, VALIDATION)}
    assert {
        ref.path for ref, _ in read_split(tmp_path / "run.v1.0.0/split.csv", VALIDATION)
    } < validation
    assert not (tmp_path / "run.next").exists()
    export(Wish(run, tmp_path / "m.onnx"), lambda _: None)
    card = Session.open(tmp_path / "m.onnx", ComputeOptions("cpu")).card
    assert (card.version, card.training["from"]["version"]) == ("1.1.0", "1.0.0")


@pytest.mark.nightly
def test_wrong_labels_are_refused_by_the_gate(run: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("left", "right"), 20):
        _save(tmp_path / "x", name, "old", _NEW, seed)
    (tmp_path / "x" / "left").rename(tmp_path / "x" / "swap")
    (tmp_path / "x" / "right").rename(tmp_path / "x" / "left")
    (tmp_path / "x" / "swap").rename(tmp_path / "x" / "right")
    before = _files(run)
    with pytest.raises(TrainingError, match=r"is refused, it .* old photos 1\.0000 -> .* \(30\)"):
        retrain(run, tmp_path / "x")
    assert _files(run) == before
    assert RunFolder.open(tmp_path / "run.refused").read_version() == "1.1.0"
    assert not (tmp_path / "run.next").exists()


class _Trained(Exception):
    pass


def _data_of_retraining(run: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """What a retraining would train on."""
    seen: list[DataSet] = []

    def stop(_: RunFolder, data: DataSet, *__: object) -> None:
        seen.append(data)
        raise _Trained

    monkeypatch.setattr(retraining, "fill", stop)
    with pytest.raises(_Trained):
        retrain(run, table, least=20)
    return seen[0]


def _corrections(run: Path, table: Path, count: int) -> list[str]:
    """A table that gives some training photos the other class."""
    photos = [(r.path, name) for r, name in read_split(RunFolder(run).split, TRAIN)][:count]
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["class", "path", "who"])
        rows.writerows([{"left": "right", "right": "left"}[n], path, "me"] for path, n in photos)
    return [path for path, _ in photos]


def test_corrections_take_the_place_of_what_they_correct(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected = _corrections(run, tmp_path / "c.csv", 20)
    data = _data_of_retraining(run, tmp_path / "c.csv", monkeypatch)
    old = {
        ref.path: name
        for part in (TRAIN, VALIDATION)
        for ref, name in read_split(RunFolder(run).split, part)
    }
    new = {ref.path: name for ref, name, _ in data.rows}
    assert set(old) == set(new)
    assert {path for path in new if new[path] != old[path]} == set(corrected)
    parts = Counter(part for ref, _, part in data.rows if ref.path in corrected)
    assert parts == {TRAIN: 15, VALIDATION: 5}
    # 100 of the old ones are still trained on; the 15 new ones count as a tenth already.
    assert len(data.train.pixels) == 100 + 15
    assert len(data.validation.pixels) == 40 + 5


@pytest.mark.parametrize("named", ["as it is", "otherwise", "as a copy"])
def test_corrected_validation_photos_stay_held_back(
    named: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [ref.path for ref, _ in read_split(RunFolder(run).split, VALIDATION)][:20]
    names = {ref.path: name for ref, name in read_split(RunFolder(run).split, VALIDATION)}
    rows = ["path,class"]
    for path in held:
        said = path
        if named == "otherwise":
            said = f"{Path(path).parent}/../{Path(path).parent.name}/{Path(path).name}"
        if named == "as a copy":
            said = str(tmp_path / f"{names[path]}-{Path(path).name}")
            shutil.copy(path, said)
        rows.append(f"{said},{'left' if names[path] == 'right' else 'right'}")
    (tmp_path / "c.csv").write_text("\n".join(rows))
    data = _data_of_retraining(run, tmp_path / "c.csv", monkeypatch)
    parts = Counter(part for _, _, part in data.rows)
    assert parts == {TRAIN: 120, VALIDATION: 40}
    if named != "as a copy":
        assert {ref.path for ref, _, part in data.rows if part == VALIDATION} == set(names)


def test_photos_that_the_run_has_are_not_new(run: Path, tmp_path: Path, trained: Path) -> None:
    shutil.copytree(trained.parent / "photos", tmp_path / "copies")
    for source in (trained.parent / "photos", tmp_path / "copies"):
        with pytest.raises(TrainingError, match=r"holds 0 photos that are new .* --min-photos"):
            retrain(run, source)
    for seed, name in enumerate(("left", "right"), 30):
        _save(tmp_path / "copies", name, "new", 49, seed)
    with pytest.raises(TrainingError, match=r"holds 98 photos .* fewer than 100"):
        retrain(run, tmp_path / "copies")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "copies"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\na.png,left\n", "needs the columns path and class"),
        ("path,class\na.png,middle\n", "'middle', which the run does not know .it has left, right"),
        ("path,class\ngone.png,left\n", "holds 0 photos that are new"),
        ("path,class\na.png\n", "line 2: a path and a class are needed"),
        ("class,path\nleft\n", "line 2: a path and a class are needed"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    text: str, words: str, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(TrainingError, match=words):
        retrain(run, tmp_path / "c.csv", least=1)
    with pytest.raises(TrainingError, match=r"cannot read .*No such file"):
        retrain(run, tmp_path / "gone.csv")


def test_copies_of_a_few_photos_do_not_decide(run: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("left", "right"), 40):
        _save(tmp_path / "new", name, "new", 1, seed)
        (photo,) = (tmp_path / "new" / name).iterdir()
        for number in range(60):
            with Image.open(photo) as image:
                image.save(photo.with_name(f"{number}.png"), compress_level=number % 10)
                image.resize((80 + number, 80)).save(photo.with_name(f"r{number}.png"))
    with pytest.raises(TrainingError, match=r"left to decide by, fewer than 10 and 1: .* copies"):
        retrain(run, tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "new"}


def test_a_run_of_before_scaled_decoding_still_decodes_in_full(run: Path) -> None:
    folder = RunFolder.open(run)
    config = folder.read_config()
    del config["recipe"]["decoding"], config["preprocess"]["decoding"]
    folder.config.write_text(json.dumps(config))
    assert folder.read_recipe().preprocess == folder.read_preprocess()


def test_another_preprocessing_is_refused_before_the_training(run: Path, tmp_path: Path) -> None:
    recipe = Recipe(height=80, width=80)
    with pytest.raises(TrainingError, match="preprocessing is not that of"):
        retrain(run, tmp_path, recipe)


def test_a_table_of_a_spreadsheet_is_read(run: Path, tmp_path: Path) -> None:
    text = "\ufeffpath,class\n" + "".join(f"gone{n}.png, left \n" for n in range(7))
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    assert [photo.class_index for photo in find_new(tmp_path / "c.csv", ["left", "right"])] == [
        0
    ] * 7


def test_a_candidate_of_other_photos_gives_way(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _corrections(run, tmp_path / "c.csv", 60)

    def stop(candidate: RunFolder, data: DataSet, recipe: Recipe, origin: Origin) -> None:
        candidate.write_config(recipe, data.description, origin)
        (candidate.backup("head")).mkdir(parents=True)
        raise _Trained

    monkeypatch.setattr(retraining, "fill", stop)
    for count in (60, 48):
        _corrections(run, tmp_path / "c.csv", count)
        with pytest.raises(_Trained):
            retrain(run, tmp_path / "c.csv", least=40)
        config = RunFolder(tmp_path / "run.next").read_config()
        assert config["data"]["new"] == count


def test_a_kill_between_the_renames_leaves_the_rest_to_the_same_command(
    run: Path, tmp_path: Path
) -> None:
    verdict = Verdict(40, 30, 0.9, 0.9, 0.5, 0.8)
    shutil.copytree(run, tmp_path / "run.next")
    RunFolder(tmp_path / "run.next").finish({"retraining": dataclasses.asdict(verdict)})
    run.rename(tmp_path / "run.v1.0.0")
    assert retrain(run, tmp_path / "whatever") == verdict
    assert {path.name for path in tmp_path.iterdir()} == {"run", "run.v1.0.0"}


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ((0.896, 0.6), None),
        ((0.894, 0.9), "worse on the old"),
        ((0.9, 0.5), "no better on the new"),
        ((0.9, 0.44), "no better on the new"),
    ],
)
def test_the_gate(after: tuple[float, float], words: str | None) -> None:
    objection = Verdict(1000, 30, 0.9, after[0], 0.5, after[1]).objection
    assert objection is None if words is None else words in str(objection)


def test_labels_that_are_hardly_learned_are_doubted() -> None:
    assert "check them" in str(Verdict(1000, 30, 0.9, 0.9, 0.0, 0.2).objection)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "run"], b"--from and --add go together"),
        (["data", "--from", "run", "--add", "x"], b"needs no DATA"),
        (["data", "--out", "run"], b"give DATA, --config and --out"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], words: bytes) -> None:
    done = scene_batch("train", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
