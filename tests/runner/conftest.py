"""Object stores on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from moto.moto_server.werkzeug_app import create_backend_app

from buckets import SECRET, Bucket
from front import Front

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_NUMBERS = count()


@pytest.fixture(scope="session")
def moto() -> WSGIApplication:
    """A real S3 server, without a socket of its own."""
    server: WSGIApplication = create_backend_app("s3")
    return server


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment with credentials and nothing of this machine's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    return monkeypatch


@pytest.fixture
def bucket(moto: WSGIApplication, aws: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket; the environment leads to it through its front."""
    with Front(moto) as front:
        aws.setenv("AWS_ENDPOINT_URL", front.url)
        bucket = Bucket(f"photos-{next(_NUMBERS)}", front)
        bucket.make()
        yield bucket
