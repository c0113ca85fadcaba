"""Visitors who send a photo about every ten seconds: what ``users.py`` lets Locust run.

``SCENE_BATCH_LOAD_PHOTOS`` names the folder of photos.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from locust import FastHttpUser, between, task

_PHOTOS = [path.read_bytes() for path in Path(os.environ["SCENE_BATCH_LOAD_PHOTOS"]).rglob("*.jpg")]
_NEXT = itertools.cycle(_PHOTOS)


class Visitor(FastHttpUser):
    """Sends a photo in a form."""

    # Not every ten seconds to the dot: those who begin together would all come together for ever.
    wait_time = between(5, 15)

    @task
    def predict(self) -> None:
        """Ask for its class."""
        with self.client.post(
            "/predict",
            files={"file": ("photo.jpg", next(_NEXT), "image/jpeg")},
            catch_response=True,
        ) as answer:
            if answer.status_code != 200 or b"class" not in answer.content:  # noqa: PLR2004
                answer.failure(f"{answer.status_code}")
