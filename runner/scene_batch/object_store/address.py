"""Where a URL leads, and how it may be told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from scene_batch.errors import UsageError

BUCKET_SCHEMES = ("s3", "gs", "az")
"""What can be listed and written: Amazon's S3 and its like, Google's and Azure's stores."""
WEB_SCHEMES = ("http", "https")
"""Where single photos can be read."""


def is_url(name: str) -> bool:
    """Whether a path leads off this machine."""
    return "://" in name


def identified(name: str) -> str:
    """A path as a ledger may hold it: without secrets, and yet no other's."""
    safe = shown(name)
    return safe if safe == name else f"{safe} sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def shown(name: str) -> str:
    """A path as it may stand in a message or a record: a URL without its query.

    The query of a signed URL is as good as a password.
    """
    if not is_url(name) or name.startswith(tuple(f"{s}://" for s in BUCKET_SCHEMES)):
        return name
    return f"{name.partition('?')[0]}?…" if "?" in name else name


UNREADABLE_SEGMENTS = {"", ".", ".."}
"""Of keys: a store may hold them, but obstore cannot name them."""


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, taken apart."""

    scheme: str
    bucket: str
    key: str
    """The rest, without slashes at its ends."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take a URL apart; nothing in it is decoded but by http's own rules.

        Raises:
            UsageError: It is none that can be opened.
        """
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme not in (*BUCKET_SCHEMES, *WEB_SCHEMES) or not bucket:
            known = ", ".join(f"{name}://" for name in (*BUCKET_SCHEMES, *WEB_SCHEMES))
            raise UsageError(f"{shown(url)!r} is no URL that can be opened: {known}")
        if "@" in bucket:
            raise UsageError(f"a URL of {scheme} with a password in it: take it out")
        key = key.strip("/")
        if scheme in BUCKET_SCHEMES and key and UNREADABLE_SEGMENTS & set(key.split("/")):
            raise UsageError(f"the key {key!r} has an empty, '.' or '..' segment; rename it")
        return cls(scheme, bucket, key)

    @property
    def is_listable(self) -> bool:
        """Whether it is a place in a bucket."""
        return self.scheme in BUCKET_SCHEMES

    @property
    def root(self) -> str:
        """The bucket's URL."""
        return f"{self.scheme}://{self.bucket}"
