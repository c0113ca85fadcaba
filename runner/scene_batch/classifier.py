"""Classify photos from Python: load a model, then give it paths, URLs, bytes or pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from scene_batch.errors import UsageError
from scene_batch.model.card import ModelCard
from scene_batch.model.compute_options import AUTO, ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.object_store.stores import Stores
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.engine import Engine, Given, Item
from scene_batch.pipeline.live import Live, Patience
from scene_batch.pipeline.named_model import begin_model
from scene_batch.pipeline.thread_plan import ThreadPlan
from scene_batch.records import ImageRef, Row
from scene_batch.sources.reading import Reader

Photo: TypeAlias = str | PathLike[str] | bytes | npt.NDArray[np.uint8]
"""A path or URL, an encoded photo, or pixels: ``uint8 (height, width, 3)`` of any size, RGB."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model with its preprocessing.

    Example::

        classifier = Classifier.load()
        for prediction in classifier.classify(["a.jpg", "b.jpg"]):
            print(prediction.class_name, prediction.probability)
    """

    predictor: Predictor
    read_timeout: float = 60.0
    """Seconds that a read may take; a slower one gives an ``Unreadable`` with code ``timeout``."""
    decode_timeout: float = 60.0
    """Seconds that decoding a photo may take, likewise."""

    def __post_init__(self) -> None:
        """Refuse a time limit that is none."""
        for name in ("read_timeout", "decode_timeout"):
            seconds = getattr(self, name)
            if not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
                raise UsageError(f"{name} {seconds!r}: take seconds above 0")

    @classmethod
    def load(  # noqa: PLR0913 - all but the first by name
        cls,
        model: str | PathLike[str] | None = None,
        *,
        model_sha256: str | None = None,
        top_k: int | None = None,
        compute: ComputeOptions = AUTO,
        read_timeout: float = 60.0,
        decode_timeout: float = 60.0,
    ) -> Classifier:
        """Load a model file, or the embedded model.

        Args:
            model: An ``.onnx`` file that ``scene-batch export`` made, or its URL (``s3://``,
                ``gs://``, ``az://``, ``https://``); None: the embedded one.
            model_sha256: What the sha256 of its bytes must be, 64 hex digits.
            top_k: Classes to keep for each photo; None: 3, or all where there are fewer.
            compute: Provider, batch size, threads, bf16.
            read_timeout: Seconds that a read may take.
            decode_timeout: Seconds that decoding a photo may take.

        Raises:
            ModelError: The file is refused.
            StoreError: It cannot be fetched.
            ProviderError: The provider does not run here.
            RuntimeMissingError: ONNX Runtime is missing or installed twice.
            UsageError: ``top_k`` is more than the model has classes, or less than 1.
        """
        file = begin_model(model, model_sha256)
        return cls(Predictor.open(file, compute, top_k=top_k), read_timeout, decode_timeout)

    @property
    def card(self) -> ModelCard:
        """What the model file says of itself."""
        return self.predictor.card

    def classify(self, photos: Photo | Iterable[Photo]) -> list[Row]:
        """Classify photos: one ``Prediction`` or ``Unreadable`` for each, in order.

        Raises:
            ValueError: An array is not ``uint8 (height, width, 3)``.
            HungReadsError: As many reads hang as there are threads that read.
        """
        if isinstance(photos, str | PathLike | bytes | np.ndarray):
            photos = [photos]
        engine = self._engine(Reader(Stores(self.read_timeout)))
        with closing(engine.rows(map(_item, photos), Tally())) as batches:
            return [row for rows in batches for row in rows]

    def live(
        self,
        patience: Patience | None = None,
        *,
        reader: Reader | None = None,
        workers: int | None = None,
    ) -> Live:
        """What classifies photos as they come, each on its own, for servers.

        Args:
            patience: How long they may wait, and how many of them.
            reader: Reads those that are not given but named, in threads of its own; None: files.
            workers: Threads that decode; None: as many as this process may use.
        """
        remote = reader is not None
        reader = reader or Reader(Stores(self.read_timeout))
        return Live(self._engine(reader, workers=workers, remote=remote), patience)

    def _engine(
        self, reader: Reader, *, workers: int | None = None, remote: bool = False
    ) -> Engine:
        plan = ThreadPlan.of(self.predictor.session, workers=workers, remote=remote)
        return Engine(self.predictor, reader, plan, self.read_timeout, self.decode_timeout)


def _item(photo: Photo) -> Item:
    if isinstance(photo, np.ndarray):
        return Given(ImageRef("<array>"), photo)
    if isinstance(photo, bytes):
        return Given(ImageRef("<bytes>", len(photo)), photo)
    return ImageRef(fspath(photo))
