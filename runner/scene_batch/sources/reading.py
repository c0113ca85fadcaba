"""The bytes of one photo, wherever its path leads."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scene_batch.errors import StoreError, UsageError
from scene_batch.memory import needs_too_much, photo_memory
from scene_batch.object_store.address import BUCKET_SCHEMES, Address, is_url
from scene_batch.object_store.asking import ask_here
from scene_batch.object_store.causes import OF_THE_WEB, Cause, ShortReadError, cause_of
from scene_batch.object_store.signed import can_be_asked_for, is_strange
from scene_batch.object_store.stores import Stores
from scene_batch.records import ImageRef, Unreadable, UnreadableCode
from scene_batch.sources.prefix import microseconds

if TYPE_CHECKING:
    from obstore import ObjectMeta

MAX_BYTES = 1 << 30
"""The largest encoded photo read into memory, where there is as much for photos."""
_REMOTE_COPIES = 2
"""Of a photo that comes over a network: its parts, and the whole."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""A FIFO named x.jpg must not hang, where there are any; regular files do not know that flag.
Windows would take some bytes for ends of lines, or of the file."""

_RETRY_SHARE = 0.5
"""Of the time limit: the last attempt begins before that, and still has time to end."""


class Fetched(NamedTuple):
    """A photo's bytes, or why there are none."""

    ref: ImageRef
    """The photo; with the size and time of what was read, where that has changed."""
    data: bytes | Unreadable
    retries: int = 0


class Reader:
    """Reads photos from files, buckets and the web; safe for threads.

    Args:
        stores: Where remote photos are; None: opened here as they are needed.
        largest: Most bytes of a photo.
    """

    def __init__(self, stores: Stores | None = None, largest: int = MAX_BYTES) -> None:
        self._stores, self._largest = stores or Stores(), largest
        self._most = photo_memory().decoding

    def read(self, ref: ImageRef) -> Fetched:
        """Read one photo, or say why it gives a row without a class.

        A remote one is asked for again after faults that may pass, with exponential backoff and
        full jitter, until half of the stores' time limit.
        """
        if not is_url(ref.path):
            return Fetched(ref, _read_local(ref, self._most))
        return self._get(ref)

    def _get(self, ref: ImageRef) -> Fetched:
        from obstore.exceptions import BaseError

        attempts = 0

        def once() -> Fetched:
            nonlocal attempts
            attempts += 1
            return self._get_once(ref)

        try:
            fetched = ask_here(once, seconds=self._stores.timeout * _RETRY_SHARE)
        except (UsageError, ValueError) as error:  # a line that is no URL, or not one for photos
            fetched = Fetched(ref, Unreadable(ref, "bad_path", str(error)))
        except StoreError as error:  # the environment's fault
            fetched = Fetched(ref, Unreadable(ref, "fetch_failed", str(error), by_storage=True))
        except (BaseError, OSError) as error:
            fetched = Fetched(ref, _unreadable(ref, cause_of(error)))
        return fetched._replace(retries=attempts - 1)

    def _get_once(self, ref: ImageRef) -> Fetched:
        if not _in_bucket(ref):
            Address.parse(ref.path)
            return self._get_from_web(ref, ref.path)
        bucket, _, key = ref.path.removeprefix("s3://").partition("/")
        if is_strange(key.removesuffix("/")) and can_be_asked_for(key) and _in_s3(ref):
            Address.parse(f"s3://{bucket}")
            return self._get_from_web(ref, self._stores.signer(bucket).object(key))
        store, key = self._stores.find(ref.path)
        if not key:
            return Fetched(ref, Unreadable(ref, "bad_path", "a bucket, not a photo in it"))
        if ref.path.endswith("/"):
            return Fetched(ref, Unreadable(ref, "not_a_file", "a folder"))
        answer = store.get(key)
        size = answer.meta["size"]
        if reason := _too_large(size, _REMOTE_COPIES * size, self._most, self._largest):
            return Fetched(ref, Unreadable(ref, "too_large", reason))
        data = bytes(answer.bytes())
        return Fetched(_as_read(ref, answer.meta, len(data)), data)

    def _get_from_web(self, ref: ImageRef, url: str) -> Fetched:
        most = min(self._largest, self._most // _REMOTE_COPIES)
        answer = self._stores.web.get(url, most)
        if answer.data is None:
            size = answer.size or most + 1
            reason = _too_large(size, _REMOTE_COPIES * size, self._most, self._largest)
            return Fetched(ref, Unreadable(ref, "too_large", reason))
        moment = _moment(answer.headers.get("Last-Modified"))
        return Fetched(replace(ref, size_bytes=len(answer.data), modified_at=moment), answer.data)


_CODES: dict[str, UnreadableCode] = {
    "missing": "missing",
    "no_bucket": "missing",
    "forbidden": "permission",
    "archived": "archived",
    "credentials": "permission",
    "key": "bad_path",
    "timeout": "timeout",
}
_OF_STORAGE = {"credentials", "region", "timeout", "unavailable", "unsupported", "other"}
"""Causes that say nothing of the photo."""


def _unreadable(ref: ImageRef, cause: Cause) -> Unreadable:
    # A bucket denies access to every photo when a right is taken away; a web server to one.
    by_storage = cause.kind in _OF_STORAGE or (cause.kind == "forbidden" and _in_bucket(ref))
    text = cause.text if _in_bucket(ref) else OF_THE_WEB.get(cause.kind, cause.text)
    return Unreadable(ref, _CODES.get(cause.kind, "fetch_failed"), text, by_storage)


def _in_s3(ref: ImageRef) -> bool:
    return ref.path.startswith("s3://")


def _in_bucket(ref: ImageRef) -> bool:
    return ref.path.startswith(tuple(f"{scheme}://" for scheme in BUCKET_SCHEMES))


def _as_read(ref: ImageRef, meta: ObjectMeta, size: int) -> ImageRef:
    """The reference with what was really read; it keeps the finer time of its listing.

    Raises:
        ShortReadError: Of the same object more bytes were listed.
    """
    moment = microseconds(meta["last_modified"])
    if ref.size_bytes is not None and size < ref.size_bytes and meta["e_tag"] == ref.e_tag:
        raise ShortReadError(size, ref.size_bytes)
    # A header counts whole seconds, a listing may count finer.
    same = ref.modified_at is not None and moment == ref.modified_at // 1_000_000 * 1_000_000
    if same and size == ref.size_bytes:
        return ref
    return replace(ref, size_bytes=size, modified_at=moment, e_tag=meta["e_tag"])


def _too_large(size: int, need: int, most: int, largest: int = MAX_BYTES) -> str:
    """Why a photo of that size is not read, which would need so much memory; else nothing."""
    if size > largest:
        return f"{size} bytes are over {largest}"
    return needs_too_much(need, most) if need > most else ""


def _moment(text: str | None) -> int | None:
    """A date of HTTP in microseconds since 1970 UTC; None where it is none."""
    from email.utils import parsedate_to_datetime

    try:
        return microseconds(parsedate_to_datetime(text or ""))
    except (ValueError, TypeError, OverflowError):  # TypeError: it names no zone
        return None


def _not_a_file(ref: ImageRef) -> Unreadable:
    return Unreadable(ref, "not_a_file", "not a regular file")


def _read_local(ref: ImageRef, most: int) -> bytes | Unreadable:
    try:
        return _read_file(ref, most)
    except (FileNotFoundError, NotADirectoryError):
        return Unreadable(ref, "missing", "no such file")
    except PermissionError:
        if Path(ref.path).is_dir():  # which Windows does not open
            return _not_a_file(ref)
        return Unreadable(ref, "permission", "no permission to read it")
    except OSError as error:
        said = error.strerror or type(error).__name__
        if error.errno in _BAD_PATH:
            return Unreadable(ref, "bad_path", said)
        if error.errno in _NOT_A_FILE:
            return Unreadable(ref, "not_a_file", said)
        return Unreadable(ref, "fetch_failed", said, by_storage=True)
    except ValueError:  # a NUL byte in a list's line
        return Unreadable(ref, "bad_path", "a NUL byte in it")


_BAD_PATH = (errno.ENAMETOOLONG, errno.EINVAL)
"""EINVAL: letters that no name may have, on Windows ? and others."""
_NOT_A_FILE = (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)
"""What opening gives for links in a circle, for sockets and for devices without a driver."""


def _read_file(ref: ImageRef, most: int) -> bytes | Unreadable:
    # By the system's own calls: open() asks it twice as much, and each answer waits for its turn.
    file = os.open(ref.path, _FLAGS)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return _not_a_file(ref)
        if reason := _too_large(status.st_size, status.st_size, most):
            return Unreadable(ref, "too_large", reason)
        parts = []
        while part := os.read(file, status.st_size + 1):
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(file)


def read(ref: ImageRef) -> bytes | Unreadable:
    """Read one photo alone; a ``Reader`` keeps its connections for the next."""
    return Reader().read(ref).data
