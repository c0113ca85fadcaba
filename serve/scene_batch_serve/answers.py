"""What is answered for photos, as values of JSON, by the endpoint and the Lambda handler alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from scene_batch.model.card import ModelCard
from scene_batch.records import Prediction, Row
from scene_batch_serve.problems import Problem, unsuitable


@dataclass(frozen=True, slots=True)
class Answers:
    """Makes answers of rows."""

    name: str
    version: str
    """The model's."""
    classes: int
    """How many it has."""
    top_k: int
    """Classes that an answer names unless the request says another number."""

    @classmethod
    def of(cls, card: ModelCard, top_k: int) -> Self:
        """For a model."""
        return cls(card.name, card.version, len(card.classes), top_k)

    def number(self, text: str | None) -> int:
        """How many classes a request asks for.

        Raises:
            Problem: It is no number of classes that the model has.
        """
        if text is None:
            return self.top_k
        if text.isascii() and text.isdigit() and len(text) <= 9:  # noqa: PLR2004
            number = int(text)
            if 1 <= number <= self.classes:
                return number
        raise unsuitable("bad_top_k", f"top_k: take a number from 1 to {self.classes}")

    def of_one(self, row: Row) -> dict[str, Any]:
        """The answer for a photo.

        Raises:
            Problem: There is none.
        """
        if not isinstance(row, Prediction):
            raise Problem.of(row)
        return {
            "class": row.class_name,
            "probability": row.probability,
            "top_k": [{"class": each.class_name, "prob": each.probability} for each in row.top],
            "model": {"name": self.name, "version": self.version},
        }

    def of_each(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """The answers for photos, in order; where there is none, the error."""
        return [
            self.of_one(row) if isinstance(row, Prediction) else Problem.of(row).to_json()
            for row in rows
        ]
