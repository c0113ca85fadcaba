"""A model, ready for photos: encoded bytes to pixels, pixels to rows."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from scene_batch.errors import SceneBatchError, UsageError
from scene_batch.model.card import ModelCard
from scene_batch.model.decode import decode
from scene_batch.model.providers import Provider
from scene_batch.model.session import Session
from scene_batch.read_ahead import prefetch
from scene_batch.records import (
    Batch,
    ClassProbability,
    Decoded,
    ImageRef,
    Prediction,
    Row,
    Unreadable,
)
from scene_batch.threads import Pool

MAX_BATCH_ITEMS = 1024
"""Items of a batch at most, where few of them need the model; the largest ``--batch-size``."""


class Classified(NamedTuple):
    """One batch's rows."""

    rows: list[Row]
    seconds: float
    """How long the model took for them."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """A model with its preprocessing, and how many classes a row names."""

    session: Session
    top_k: int

    @classmethod
    def open(  # noqa: PLR0913 - each a setting
        cls,
        model: str | PathLike[str] | None = None,
        *,
        top_k: int | None = None,
        provider: Provider = "auto",
        batch_size: int | None = None,
        threads: int | None = None,
        bf16: bool = False,
    ) -> Predictor:
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
        if provider not in get_args(Provider):
            raise UsageError(f"provider {provider!r} is none of {', '.join(get_args(Provider))}")
        for name, number in (("batch_size", batch_size), ("threads", threads)):
            if number is not None and number < 1:
                raise UsageError(f"{name} {number}: take a number from 1, or None")
        path = None if model is None else Path(model)
        session = Session.open(
            path, provider=provider, batch_size=batch_size, threads=threads, bf16=bf16
        )
        return cls.of(session, top_k)

    @classmethod
    def of(cls, session: Session, top_k: int | None = None) -> Predictor:
        """The predictor of a model that is open.

        Raises:
            UsageError: ``top_k`` is not within the model's classes.
        """
        classes = len(session.card.classes)
        if top_k is not None and not 1 <= top_k <= classes:
            raise UsageError(f"top-k {top_k}: the model has {classes} classes; take 1 to {classes}")
        return cls(session, top_k or min(3, classes))

    @property
    def card(self) -> ModelCard:
        """What the model file says of itself."""
        return self.session.card

    def decode(self, ref: ImageRef, data: bytes) -> Decoded | Unreadable:
        """Decode an encoded photo into the pixels that this model sees."""
        return decode(ref, data, self.card.preprocess)

    def rows(
        self, photos: Iterable[Decoded | Row], pool: Pool | None = None
    ) -> Generator[Classified, None, None]:
        """Classify photos batch after batch, in order, as many side by side as is best.

        Args:
            photos: Drawn from in the caller's thread, a batch more ahead than are computed.
            pool: The threads that do it, before what else they do; None: their own.
        """

        def classify(batch: Batch) -> Classified:
            begun = time.perf_counter()
            rows = self.predict(batch)
            return Classified(rows, time.perf_counter() - begun)

        calls = self.session.calls
        batches = self.batches(photos)
        results: Generator[Classified, None, None]
        results = prefetch(classify, batches, workers=pool or calls, depth=calls + 1, urgent=True)
        with closing(results):
            yield from results

    def batches(self, photos: Iterable[Decoded | Row]) -> Iterator[Batch]:
        """Group photos into batches of the session's size, what is a row already in its place."""
        items: list[Decoded | Row] = []
        decoded = 0
        source = iter(photos)
        while True:
            try:
                item = next(source, None)
            except SceneBatchError:  # what came before it is sound
                if items:
                    yield Batch(tuple(items))
                raise
            if item is None:
                break
            items.append(item)
            decoded += isinstance(item, Decoded)
            if decoded >= self.session.batch_size or len(items) == MAX_BATCH_ITEMS:
                yield Batch(tuple(items))
                items, decoded = [], 0
        if items:
            yield Batch(tuple(items))

    def predict(self, batch: Batch) -> list[Row]:
        """Classify one batch of at most the session's size: a row for each item, in order."""
        pixels = [item.pixels for item in batch.items if isinstance(item, Decoded)]
        tops = iter(self._tops(self.session.probabilities(pixels)) if pixels else ())
        return [
            Prediction(item.ref, next(tops)) if isinstance(item, Decoded) else item
            for item in batch.items
        ]

    def _tops(
        self, probabilities: npt.NDArray[np.float32]
    ) -> Iterator[tuple[ClassProbability, ...]]:
        """The ``top_k`` classes of each photo, most probable first, ties in index order."""
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : self.top_k]
        highest = probabilities[np.arange(len(order))[:, None], order]
        name = self.card.classes.__getitem__
        for indices, values in zip(order.tolist(), highest.tolist(), strict=True):
            yield tuple(map(ClassProbability, map(name, indices), values))
