"""A bucket, as the tests of object storage use it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import get_canned_acl, s3_backends

from front import Front

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCY"


@dataclass
class Bucket:
    """A bucket of a real S3 server behind a front that makes faults on demand.

    What the methods do is done behind the front's back, and quickly.
    """

    name: str
    front: Front

    @property
    def url(self) -> str:
        """Its URL for scene-batch."""
        return f"s3://{self.name}"

    @property
    def _server(self) -> Any:
        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def make(self) -> None:
        """Let it be there, empty."""
        self._server.create_bucket(self.name, "eu-central-1")

    def put(self, key: str, data: bytes = b"") -> None:
        """Store an object."""
        self._server.put_object(self.name, key, data)

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
