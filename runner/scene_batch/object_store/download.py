"""One object of a store or of the web, fetched whole into a file."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, TypeVar

from scene_batch.errors import StoreError
from scene_batch.object_store.address import Address, shown
from scene_batch.object_store.asking import FIRST_SECONDS, RETRY_SECONDS, ask, no_panics
from scene_batch.object_store.causes import OF_THE_WEB, ShortReadError, cause_of
from scene_batch.object_store.stores import Stores

if TYPE_CHECKING:
    from obstore import GetResult

Answer = TypeVar("Answer")

ATTEMPT_SECONDS = 3600.0
"""Of one attempt: a large file over a slow line. A silent server is given up much sooner."""
TRIES = 5
"""How often an object is begun again after its bytes had begun to come."""
_CHUNK = 1 << 20


class Incoming(Protocol):
    """An object whose bytes are about to come."""

    @property
    def mark(self) -> str:
        """What the server calls these bytes; empty where it has no name for them."""

    @property
    def size(self) -> int:
        """How many come."""

    def chunks(self) -> Iterator[bytes]:
        """All of them, or an error."""

    def close(self) -> None:
        """Take no more of them."""


class _FromBucket(NamedTuple):
    """An object of a bucket whose bytes are about to come."""

    mark: str
    size: int
    answer: GetResult

    def chunks(self) -> Iterator[bytes]:
        size = 0
        for chunk in self.answer.stream(min_chunk_size=_CHUNK):
            size += len(chunk)
            yield bytes(chunk)
        if size != self.size:
            raise ShortReadError(size, self.size)

    def close(self) -> None:
        """Nothing: it is closed where nobody holds it any more."""


class Fetched(NamedTuple):
    """What was written into a file."""

    mark: str
    sha256: str


class DiskError(Exception):
    """The file to fetch into cannot be written; its cause is the ``OSError``."""


class Download:
    """One object, by its URL.

    Args:
        url: Of a bucket's object, or of the web.
        most: Bytes that it may have.

    Raises:
        UsageError: It is no URL that can be opened.
    """

    def __init__(self, url: str, most: int) -> None:
        self._url, self._most = url, most
        self._in_bucket = Address.parse(url).is_listable
        self._stores = Stores(attempt=ATTEMPT_SECONDS)

    def open(self, mark: str = "") -> Incoming | None:
        """Ask for the object; None where it still has the bytes of that mark.

        Raises:
            StoreError: It cannot be had, is empty or is too large.
        """
        return self._told(lambda: ask(lambda: self._open(mark), seconds=FIRST_SECONDS))

    def save(self, incoming: Incoming, file: BinaryIO) -> Fetched:
        """Write an object that was opened into a file, from the beginning where it breaks off.

        Raises:
            StoreError: It cannot be had.
            DiskError: The file cannot be written.
        """
        waiting, moved = [incoming], False

        def once() -> Fetched:
            nonlocal moved
            begun = waiting.pop() if waiting else self._open("")
            assert begun is not None  # noqa: S101 - no mark was given
            with closing(begun):
                file.seek(0)
                file.truncate()
                digest = hashlib.sha256()
                for chunk in begun.chunks():
                    moved = True
                    digest.update(chunk)
                    _write(file, chunk)
                return Fetched(begun.mark, digest.hexdigest())

        def tried() -> Fetched:
            nonlocal moved
            for _ in range(TRIES - 1):
                moved, until = False, time.monotonic() + RETRY_SECONDS
                try:
                    return ask(once, seconds=RETRY_SECONDS, size_bytes=self._most)
                except Exception as error:
                    # A long one that broke off late has not been asked for again.
                    late = time.monotonic() > until
                    if not (moved and late and cause_of(error).may_pass):
                        raise
            return ask(once, seconds=RETRY_SECONDS, size_bytes=self._most)

        return self._told(tried)

    def _open(self, mark: str) -> Incoming | None:
        incoming = self._from_bucket(mark) if self._in_bucket else self._from_web(mark)
        if incoming is not None and not 0 < incoming.size <= self._most:
            incoming.close()
            raise StoreError(
                f"{shown(self._url)!r} has {incoming.size} bytes, and 1 to {self._most} are"
                " fetched; check the name"
            )
        return incoming

    def _from_web(self, mark: str) -> Incoming | None:
        return self._stores.web.open(self._url, mark)

    def _from_bucket(self, mark: str) -> Incoming | None:
        from obstore.exceptions import NotModifiedError

        store, key = self._stores.find(self._url)
        try:
            answer = store.get(key, options={"if_none_match": mark} if mark else None)
        except NotModifiedError:
            return None
        new = answer.meta["e_tag"] or ""
        # A store that does not know conditions sends all of it: it is not taken.
        return None if mark and new == mark else _FromBucket(new, answer.meta["size"], answer)

    def _told(self, request: Callable[[], Answer]) -> Answer:
        """What a request returns, or in words why it failed."""
        from obstore.exceptions import BaseError

        try:
            with no_panics():
                return request()
        except (BaseError, OSError, ValueError) as error:
            cause = cause_of(error)
            text = cause.text if self._in_bucket else OF_THE_WEB.get(cause.kind, cause.text)
            raise StoreError(f"cannot fetch {shown(self._url)!r}: {text}") from None


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        raise DiskError from error
