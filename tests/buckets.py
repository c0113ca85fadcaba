"""A bucket, as the tests of object storage use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from front import Front

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCY"


@dataclass
class Bucket:
    """A bucket of a real S3 server behind a front that makes faults on demand."""

    name: str
    front: Front
    client: Any

    @property
    def url(self) -> str:
        """Its URL for scene-batch."""
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes = b"") -> None:
        """Store an object, behind the front's back and quickly."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(self.name, key, data)

    def get(self, key: str) -> bytes:
        """An object's bytes."""
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def fill(self, folder: Path, prefix: str = "") -> None:
        """Store the files of a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(prefix + path.relative_to(folder).as_posix(), path.read_bytes())

    def keys(self) -> list[str]:
        """What is stored."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]
