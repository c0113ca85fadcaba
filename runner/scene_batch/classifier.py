"""The face for Python programs: a model, and photos from wherever they are."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from scene_batch.model.card import ModelCard
from scene_batch.model.predictor import Predictor
from scene_batch.model.providers import Provider
from scene_batch.pipeline.thread_plan import Staff
from scene_batch.read_ahead import prefetch
from scene_batch.records import Batch, Decoded, ImageRef, Row, Unreadable
from scene_batch.sources.reading import Reader
from scene_batch.threads import Pool

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

    @classmethod
    def load(  # noqa: PLR0913 - each a setting
        cls,
        model: str | PathLike[str] | None = None,
        *,
        top_k: int | None = None,
        provider: Provider = "auto",
        batch_size: int | None = None,
        threads: int | None = None,
        bf16: bool = False,
    ) -> Classifier:
        """Load a model file, or the embedded model.

        Args:
            model: An ``.onnx`` file that ``scene-batch export`` made; None: the embedded one.
            top_k: Classes to keep for each photo; None: 3, or all where there are fewer.
            provider: ``auto`` takes the fastest one that runs; the others are taken or refused.
            batch_size: Photos at a time; None: what suits the provider.
            threads: Compute threads; None: as many as this process may use.
            bf16: Compute an fp32 model in bfloat16, which only ``openvino`` does.

        Raises:
            ModelError: The file is refused.
            ProviderError: The provider does not run here.
            RuntimeMissingError: ONNX Runtime is missing or doubled.
            UsageError: ``top_k`` is not within the model's classes, or another value is none.
        """
        return cls(
            Predictor.open(
                model,
                top_k=top_k,
                provider=provider,
                batch_size=batch_size,
                threads=threads,
                bf16=bf16,
            )
        )

    @property
    def card(self) -> ModelCard:
        """What the model file says of itself."""
        return self.predictor.card

    def classify(self, photos: Photo | Iterable[Photo]) -> list[Row]:
        """Classify photos: one ``Prediction`` or ``Unreadable`` for each, in order.

        Many are read and decoded ahead, as in a run; one takes no threads but the caller's.

        Args:
            photos: One, or any number of them.

        Raises:
            ValueError: An array is not ``uint8 (height, width, 3)``.
        """
        reader, predictor = Reader(), self.predictor
        if isinstance(photos, str | PathLike | bytes | np.ndarray):
            return predictor.predict(Batch((self._load(photos, reader),)))
        staff = Staff.of(predictor.session, workers=None, remote=False)

        def load(photo: Photo) -> Decoded | Row:
            return self._load(photo, reader)

        depth = predictor.session.photos_ahead + staff.workers
        with Pool(staff.workers) as pool:
            loaded: Generator[Decoded | Row, None, None]
            loaded = prefetch(load, photos, workers=pool, depth=depth)
            results = predictor.rows(loaded, pool if staff.shared else None)
            with closing(loaded), closing(results):
                return [row for result in results for row in result.rows]

    def _load(self, photo: Photo, reader: Reader) -> Decoded | Unreadable:
        if isinstance(photo, np.ndarray):
            return self._from_array(photo)
        if isinstance(photo, bytes):
            return self.predictor.decode(ImageRef("<bytes>", len(photo)), photo)
        ref, data, _ = reader.read(ImageRef(fspath(photo)))
        return data if isinstance(data, Unreadable) else self.predictor.decode(ref, data)

    def _from_array(self, pixels: npt.NDArray[np.uint8]) -> Decoded:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:  # noqa: PLR2004
            raise ValueError(
                f"pixels: need uint8 (height, width, 3), got {pixels.dtype} {pixels.shape}"
            )
        image = Image.fromarray(pixels)
        return Decoded(ImageRef("<array>"), self.card.preprocess.apply(image))
