"""Object stores on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from buckets import Bucket, empty_bucket, give_keys
from scene_batch import threads

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@pytest.fixture(scope="module")
def shared_bucket(
    moto: WSGIApplication, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bucket]:
    """One for all that a module's tests wait for side by side."""
    with pytest.MonkeyPatch.context() as patch:
        give_keys(patch, tmp_path_factory.mktemp("aws"))
        with empty_bucket(moto, patch) as bucket:
            yield bucket


@pytest.fixture
def hung_threads_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a pool soon gives up what hangs in it."""
    monkeypatch.setattr(threads, "JOIN_SECONDS", 0.1)
