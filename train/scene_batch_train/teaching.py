"""Distillation: what is learned is a teacher's answers and the labels, in shares.

Hinton et al. 2015, arXiv:1503.02531. The teacher is asked about the very photos that the network
learns from, augmented and mixed alike, each time anew: answers to the unchanged photos do not suit
the changed ones (Beyer et al. 2022, arXiv:2106.05237, section 3). The temperature is the teacher's
alone: the network's own is fitted at the end (docs/decisions/008).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from scene_batch.errors import TrainingError
from scene_batch.model.model_file import sha256
from scene_batch.model.preprocess import Preprocess
from scene_batch.model.session import Session
from scene_batch.processors import usable_cpus
from scene_batch.read_ahead import read_ahead
from scene_batch.threads import Pool
from scene_batch_train import photos
from scene_batch_train.data_set import DataSet, fingerprint, say
from scene_batch_train.photos import LabelledPhoto, PhotoSet
from scene_batch_train.progress import progress_bar
from scene_batch_train.recipe import NO_TEACHER, Distillation
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.splitting import TRAIN

View = Callable[[npt.NDArray[np.uint8], int], npt.NDArray[np.uint8]]
"""Makes photos, uint8 ``(photos, height, width, 3)``, and the first one's number, into others."""

Answer = Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]
"""Makes a batch of what a teacher looks at into its probabilities, ``(batch, classes)``."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a teacher says of a training's inputs, and how much that counts."""

    inputs: npt.NDArray[Any]
    """What the teacher looks at, for each input of the training, in their order."""
    answer: Answer
    weight: float
    """Share of its answers in what is learned."""

    def targets(
        self, seen: npt.NDArray[Any], one_hot: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """What is learned of a batch, float32 ``(batch, classes)``.

        Args:
            seen: The batch as the teacher sees it.
            one_hot: Its labelled classes, perhaps mixed, float32 ``(batch, classes)``.
        """
        weight = np.float32(self.weight)
        mixed: npt.NDArray[np.float32] = weight * self.answer(seen) + (1 - weight) * one_hot
        return mixed


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained model that knows the classes of a training."""

    preprocess: Preprocess
    identity: Mapping[str, str]
    """Its name, its version, and the sha256 of its file."""
    data_sha256: str | None
    """The fingerprint of the photos that it was trained on, decoded as it sees them."""
    weight: float
    answer: Answer
    """Makes pixels, uint8 ``(batch, height, width, 3)``, into probabilities."""

    @classmethod
    def open(cls, settings: Distillation, classes: Sequence[str]) -> Teacher | None:
        """Open a recipe's teacher; None where it has none, or one that counts for nothing.

        Raises:
            TrainingError: It is of other classes, or an unfinished run.
            ModelError: The model file is refused.
            RuntimeMissingError: It is a model file, and no ONNX Runtime is installed.
        """
        if settings.teacher == NO_TEACHER or not settings.weight:
            return None
        path = Path(settings.teacher)
        known, teacher = (_of_run if path.is_dir() else _of_file)(path, settings.weight)
        order = _order(known, classes, settings.teacher)

        def answer(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            return soften(teacher.answer(pixels)[:, order], settings.temperature)

        return cls(
            preprocess=teacher.preprocess,
            identity=teacher.identity,
            data_sha256=teacher.data_sha256,
            weight=settings.weight,
            answer=answer,
        )

    def prepare(self, data: DataSet) -> Lessons:
        """Decode the training photos as the teacher sees them.

        Raises:
            TrainingError: One can be read no longer.
        """
        numbers = {name: number for number, name in enumerate(data.classes)}
        members = [
            LabelledPhoto(ref, numbers[name]) for ref, name, part in data.rows if part == TRAIN
        ]
        seen, unreadable = photos.load(members, self.preprocess, "decode for the teacher")
        if unreadable or not np.array_equal(seen.class_indices, data.train.class_indices):
            raise TrainingError("the training photos changed while they were read; begin again")
        if fingerprint(seen) != self.data_sha256:
            say(
                "the teacher was not trained on exactly these training photos: if it has seen those"
                " that are held back, the validation figures flatter what it teaches"
            )
        return Lessons(self, seen)


@dataclass(frozen=True, slots=True)
class Lessons:
    """A teacher, and the training photos as it sees them."""

    teacher: Teacher
    photos: PhotoSet

    def of_photos(self) -> Lesson:
        """About photos, which each batch changes as it changes those of the training."""
        return Lesson(self.photos.pixels, self.teacher.answer, self.teacher.weight)

    def of_views(self, views: Sequence[View]) -> Lesson:
        """About the photos by one view, then by the next: asked once, for good."""
        pixels, workers = self.photos.pixels, usable_cpus()
        chunks = [(view, start) for view in views for start in range(0, len(pixels), _AT_ONCE)]

        def ask(chunk: tuple[View, int]) -> npt.NDArray[np.float32]:
            view, start = chunk
            return self.teacher.answer(view(pixels[start : start + _AT_ONCE], start))

        answers = []
        with (
            progress_bar(len(pixels) * len(views), "ask the teacher", "photo") as bar,
            Pool(workers) as pool,
        ):
            for answer in read_ahead(
                lambda chunk: pool.submit(lambda: ask(chunk)), chunks, depth=2 * workers
            ):
                answers.append(answer)
                bar.update(len(answer))
        return Lesson(np.concatenate(answers), np.asarray, self.teacher.weight)


_AT_ONCE = 64


def soften(probabilities: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """Divide the logits behind probabilities, ``(photos, classes)``, by a temperature."""
    if temperature == 1:
        return probabilities
    powers = np.clip(probabilities.astype(np.float64), 0, 1) ** (1 / temperature)
    softened: npt.NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return softened.astype(np.float32)


def _of_file(path: Path, weight: float) -> tuple[Sequence[str], Teacher]:
    session = Session.open(path)
    session.check()
    card = session.card
    data = card.training.get("data")
    return card.classes, Teacher(
        preprocess=card.preprocess,
        identity={"name": card.name, "version": card.version, "sha256": session.sha256},
        data_sha256=data.get("sha256") if isinstance(data, Mapping) else None,
        weight=weight,
        answer=lambda pixels: session.probabilities(list(pixels)),
    )


def _of_run(path: Path, weight: float) -> tuple[Sequence[str], Teacher]:
    run = RunFolder.open(path)
    model, lock = keras.models.load_model(run.model, compile=False), threading.Lock()

    def answer(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        with lock:  # Keras makes its function at the first call
            return np.asarray(model.predict_on_batch(pixels), np.float32)

    return run.read_classes(), Teacher(
        preprocess=run.read_preprocess(),
        identity={
            "name": path.resolve().name,
            "version": run.read_version(),
            "sha256": sha256(run.model),
        },
        data_sha256=run.read_config()["data"]["sha256"],
        weight=weight,
        answer=answer,
    )


def _order(known: Sequence[str], classes: Sequence[str], name: str) -> list[int]:
    """Where the training's classes are among the teacher's.

    Raises:
        TrainingError: They are not the same ones.
    """
    if sorted(known) != sorted(classes):
        other = sorted(set(known) ^ set(classes))
        raise TrainingError(
            f"the teacher {name!r} has other classes than the photos: only one of them has"
            f" {', '.join(map(repr, other[:3]))}{' and more' if len(other) > 3 else ''};"  # noqa: PLR2004
            " take a teacher of the same classes, or none"
        )
    return [list(known).index(class_name) for class_name in classes]
