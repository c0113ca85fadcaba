"""The parts of a URL, and how it is shown without secrets."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass

from scene_batch.errors import UsageError

BUCKET_SCHEMES = ("s3", "gs", "az")
"""What can be listed and written: Amazon's S3 and its like, Google's and Azure's stores."""
WEB_SCHEMES = ("http", "https")
"""Where single photos can be read."""


def is_url(name: str) -> bool:
    """Whether a path is a URL; else it is a local one."""
    return "://" in name


def is_signed(url: str) -> bool:
    """Whether a URL has a signature in its query."""
    return re.search(rf"\?.*{_SIGNATURE}", url, re.IGNORECASE) is not None


def unique(name: str) -> str:
    """A path for a ledger: without secrets, and yet different from every other path."""
    safe = shown(name)
    if safe == name:
        return name
    return f"{safe} sha256:{hashlib.sha256(os.fsencode(name)).hexdigest()}"


def hidden(name: str) -> str:
    """A path for a table without secrets: what ``shown`` leaves out becomes a short digest."""
    safe = shown(name)
    if safe == name:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f"{safe.removesuffix('?…')}?sha256:{digest[:16]}"


def shown(name: str) -> str:
    """A path for messages and records: a URL without password, query and fragment.

    The query of a signed URL is as good as a password, that of ``https:/host/x?y``, a slip, too. In
    the keys of a bucket, ``?`` is a letter like others, unless a signature follows it.
    """
    if not is_url(name):
        return re.sub(rf"\A({_SCHEMES}):/*([^?#]*)[?#].*", r"\1:/\2?…", name, flags=_ANY_LETTER)
    name = re.sub(r"(?<=://)[^/?#]*@", "…@", name)
    if name.startswith(tuple(f"{scheme}://" for scheme in BUCKET_SCHEMES)):
        return re.sub(rf"\?(?=.*{_SIGNATURE}).*", "?…", name, flags=_ANY_LETTER)
    return re.sub(r"[?#].*", "?…", name, flags=re.DOTALL)


_SCHEMES = "|".join((*BUCKET_SCHEMES, *WEB_SCHEMES))
_ANY_LETTER = re.DOTALL | re.IGNORECASE
_SIGNATURE = "(sig|signature|token|credential)="

_LONGEST = 8192
_FORBIDDEN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

UNREADABLE_SEGMENTS = {"", ".", ".."}
"""Segments that a store's keys may have, but that obstore cannot name."""


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, taken apart."""

    scheme: str
    bucket: str
    key: str
    """The rest of the URL; in a bucket without a closing slash."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take a URL apart, without decoding anything in it.

        Raises:
            UsageError: It cannot be opened, or has a secret in it.
        """
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        bucket = re.split(r"[?#]", bucket)[0]
        name = shown(url)
        if scheme not in (*BUCKET_SCHEMES, *WEB_SCHEMES) or not bucket:
            known = ", ".join(f"{name}://" for name in (*BUCKET_SCHEMES, *WEB_SCHEMES))
            raise UsageError(f"{name!r} is no URL that can be opened: {known}")
        if "@" in bucket:
            raise UsageError(f"{name!r} has a password in it: take it out")
        if len(url) > _LONGEST or _FORBIDDEN.search(url):
            raise UsageError(f"{name[:80]!r} is too long, has a control character or is not UTF-8")
        if scheme in BUCKET_SCHEMES:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
                raise UsageError(f"{name!r}: {bucket!r} is no name of a bucket")
            if is_signed(url):
                raise UsageError(f"{name!r} has a signature in it; give it by the environment")
            key = key.removesuffix("/")
            if key and UNREADABLE_SEGMENTS & set(key.split("/")):
                raise UsageError(f"the key {key!r} has an empty, '.' or '..' segment; rename it")
        return cls(scheme, bucket, key)

    @property
    def is_listable(self) -> bool:
        """Whether it is in a bucket, which can be listed and written."""
        return self.scheme in BUCKET_SCHEMES

    @property
    def root(self) -> str:
        """The bucket's URL."""
        return f"{self.scheme}://{self.bucket}"
