"""A bucket, as the tests of object storage use it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import get_canned_acl, s3_backends

from front import Front

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCY"

_NUMBERS = count()


@dataclass
class Bucket:
    """A bucket of a real S3 server behind a front that makes faults on demand.

    What the methods do is done behind the front's back, and quickly.
    """

    name: str
    front: Front

    @classmethod
    def make(cls, name: str, front: Front) -> Bucket:
        """A new one."""
        bucket = cls(name, front)
        bucket._server.create_bucket(name, "eu-central-1")
        return bucket

    @property
    def url(self) -> str:
        """Its URL for scene-batch."""
        return f"s3://{self.name}"

    @property
    def _server(self) -> Any:
        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def put(self, key: str, data: bytes = b"", age: float = 0.0) -> None:
        """Store an object, as if that many seconds ago."""
        stored = self._server.put_object(self.name, key, data)
        stored.last_modified -= timedelta(seconds=age)

    def get(self, key: str) -> bytes:
        """An object's bytes."""
        data: bytes = self._server.get_object(self.name, key).value
        return data

    def delete(self, *keys: str) -> None:
        """Remove objects."""
        for key in keys:
            self._server.delete_object(self.name, key)

    def publish(self, key: str | None = None) -> None:
        """Let everybody read an object, or list the bucket, without keys of their own."""
        everybody = get_canned_acl("public-read")
        if key is None:
            self._server.put_bucket_acl(self.name, everybody)
        else:
            self._server.put_object_acl(self.name, key, everybody)

    def fill(self, folder: Path, prefix: str = "") -> None:
        """Store the files of a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(prefix + path.relative_to(folder).as_posix(), path.read_bytes())

    def keys(self) -> list[str]:
        """What is stored."""
        return sorted(self._server.get_bucket(self.name).keys)

    def table(self, name: str) -> pa.Table:
        """The rows of a Parquet file, or of a data set's parts."""
        if not name.endswith("/"):
            return pq.read_table(io.BytesIO(self.get(name)))
        assert f"{name}_run.json" in self.keys()
        parts = [key for key in self.keys() if key.startswith(f"{name}part-")]
        return pa.concat_tables(self.table(key) for key in parts)


def give_keys(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make an environment with credentials and nothing of this machine's."""
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_REGION", "eu-central-1")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_CONFIG_FILE", str(folder / "no-config"))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "no-credentials"))


@contextmanager
def empty_bucket(server: WSGIApplication, patch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket to which the environment leads through its front."""
    with Front(server) as front:
        patch.setenv("AWS_ENDPOINT_URL", front.url)
        yield Bucket.make(f"photos-{next(_NUMBERS)}", front)
