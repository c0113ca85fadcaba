"""Classify every photo under a directory, and leave a table that can be trusted.

The public names are those in ``__all__``; everything else may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "1.0.0"

__all__ = [
    "Classifier",
    "ComputeOptions",
    "ImageRef",
    "ModelCard",
    "Prediction",
    "SceneBatchError",
    "Unreadable",
    "__version__",
]

if TYPE_CHECKING:
    from scene_batch.classifier import Classifier
    from scene_batch.errors import SceneBatchError
    from scene_batch.model.card import ModelCard
    from scene_batch.model.compute_options import ComputeOptions
    from scene_batch.records import ImageRef, Prediction, Unreadable

_HOMES = {
    "Classifier": "scene_batch.classifier",
    "ComputeOptions": "scene_batch.model.compute_options",
    "ImageRef": "scene_batch.records",
    "ModelCard": "scene_batch.model.card",
    "Prediction": "scene_batch.records",
    "SceneBatchError": "scene_batch.errors",
    "Unreadable": "scene_batch.records",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that ``--help`` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'scene_batch' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
