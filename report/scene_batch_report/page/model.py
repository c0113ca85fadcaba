"""The card of the model that a run took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scene_batch.errors import RuntimeMissingError
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.model_file import EMBEDDED, ModelFile, sha256
from scene_batch.model.page import preprocess_in_words, to_markdown
from scene_batch.model.session import Session
from scene_batch.pipeline.named_model import begin_model


def card_of(said: Mapping[str, Any], named: str | None) -> dict[str, Any] | None:
    """The card of a run's model file; None where the file is not at hand.

    Args:
        said: What the run's record says of its model.
        named: The file or its URL; None: it is looked for in this package.

    Raises:
        ModelError: The file is not the one that the run took.
    """
    if named is not None:
        return _read(begin_model(named, said["sha256"]))
    if sha256(EMBEDDED) != said["sha256"]:
        return None
    try:
        return _read(begin_model(None))
    except RuntimeMissingError:
        return None


def _read(file: ModelFile) -> dict[str, Any]:
    session = Session.open(file, ComputeOptions("cpu"))
    try:
        text = to_markdown(session.card, session.path.stat().st_size, session.sha256)
    except (AttributeError, LookupError, TypeError, ValueError):  # figures that no page can show
        text = ""
    return {
        "created": session.card.created,
        "preprocess": preprocess_in_words(session.card.preprocess),
        "text": text,
    }
