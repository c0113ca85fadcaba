"""Fixtures that every room's tests share."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from moto.moto_server.werkzeug_app import create_backend_app
from PIL import Image

from buckets import Bucket, empty_bucket, give_keys
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch_train.recipe import Augment, FineTune, Head, Recipe
from sharing import shared
from small import SIDE, small_recipe
from support import save_colour_model, save_shade

# TensorFlow makes objects by the million, to keep them: a sixth of the time went to looking for
# garbage among them.
gc.set_threshold(100_000, 20, 20)

settings.register_profile(
    "fuzz", max_examples=200_000, suppress_health_check=list(HealthCheck), deadline=None
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from scene_batch_train.run_folder import RunFolder


@pytest.fixture(scope="session")
def colour_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file whose answers are known: the colour of a photo."""
    return save_colour_model(tmp_path_factory.mktemp("model") / "colours.onnx")


@pytest.fixture(scope="session")
def colours(colour_model: Path) -> Predictor:
    """That model, ready."""
    return Predictor.open(colour_model, ComputeOptions("cpu", batch_size=8))


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty photos in three folders, each with probabilities of its own, two of them broken."""
    folder = tmp_path_factory.mktemp("album")
    for number in range(30):
        save_shade(folder / f"day{number % 3}" / f"{number:02}.png", number)
    (folder / "day1" / "07.png").write_bytes(b"")
    (folder / "day2" / "17.png").write_bytes(b"no photo at all")
    return folder


@pytest.fixture(scope="session")
def moto() -> WSGIApplication:
    """A real S3 server, without a socket of its own."""
    server: WSGIApplication = create_backend_app("s3")
    return server


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment with credentials and nothing of this machine's."""
    give_keys(monkeypatch, tmp_path)
    return monkeypatch


@pytest.fixture
def bucket(moto: WSGIApplication, aws: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket; the environment leads to it through its front."""
    with empty_bucket(moto, aws) as bucket:
        yield bucket


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that a mean tells apart, twelve photos each, and a broken one."""
    return shared(tmp_path_factory, "labelled", _save_labelled)


def _save_labelled(folder: Path) -> None:
    random = np.random.default_rng(3)
    for number in range(24):
        name = ("dark", "bright")[number % 2]
        low, high = ((0, 120), (140, 256))[number % 2]
        (folder / name).mkdir(exist_ok=True)
        pixels = random.integers(low, high, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    (folder / "dark" / "broken.jpg").write_bytes(b"no photo")


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """A training in both stages, of the small network with a middle block."""
    return small_recipe(
        middle_blocks=1,
        head=Head(epochs=2, batch_size=8),
        fine_tune=FineTune(epochs=2, learning_rate=1e-3, batch_size=8, average=0.9),
        augment=Augment(rotate=5.0, zoom=0.1, brightness=0.1, mix=0.5),
    )


@pytest.fixture(scope="session")
def tiny_run(
    labelled: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """Such a training, undisturbed."""
    from scene_batch_train.run_folder import RunFolder

    def make(folder: Path) -> None:
        from scene_batch_train.training import train

        train(labelled, tiny_recipe, folder / "run")

    return RunFolder.open(shared(tmp_path_factory, "training", make) / "run")
