"""Object stores by URL: where they are, how they are opened, what their errors mean."""

from __future__ import annotations

from scene_batch.object_store.address import (
    BUCKET_SCHEMES,
    Address,
    identified,
    is_url,
    shown,
)
from scene_batch.object_store.causes import Cause, ShortReadError, cause_of, no_panics, retrying
from scene_batch.object_store.stores import Stores

__all__ = [
    "BUCKET_SCHEMES",
    "Address",
    "Cause",
    "ShortReadError",
    "Stores",
    "cause_of",
    "identified",
    "is_url",
    "no_panics",
    "retrying",
    "shown",
]
