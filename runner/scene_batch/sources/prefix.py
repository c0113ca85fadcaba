"""Photos under a prefix of a bucket, in the order of their keys, a page in memory at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from scene_batch.errors import SourceError
from scene_batch.object_store.address import Address
from scene_batch.object_store.asking import FIRST_SECONDS, ask
from scene_batch.object_store.causes import Cause, cause_of
from scene_batch.object_store.stores import Stores
from scene_batch.read_ahead import read_ahead
from scene_batch.records import ImageRef, Position
from scene_batch.sources.directory import has_photo_suffix
from scene_batch.sources.own_files import OwnFiles
from scene_batch.sources.pages import Pages
from scene_batch.sources.selection import EVERYTHING, Ignored, Selection
from scene_batch.sources.span import WHOLE, OrderKey, Span
from scene_batch.threads import Pool

if TYPE_CHECKING:
    from obstore import ObjectMeta


@dataclass(slots=True)
class Prefix:
    """A prefix as typed, without a closing slash: a folder of a bucket."""

    url: str
    ignored: Ignored
    stores: Stores
    source: int = 0
    """The number of this source in its job."""
    selection: Selection = EVERYTHING
    own: OwnFiles | None = None
    """What the job itself writes, which is no part of the source."""
    _address: Address = field(init=False)

    def __post_init__(self) -> None:
        """Take the URL apart."""
        self._address = Address.parse(self.url)

    def check(self) -> None:
        """Ask for the first keys, so that errors come before any work.

        Raises:
            SourceError: The prefix cannot be listed.
        """
        from obstore.exceptions import BaseError, InvalidPathError

        store = self.stores.open(self._address, "short")

        def first_keys() -> None:
            with suppress(InvalidPathError):  # it answers: a key is strange
                next(iter(store.list(self._address.key or None, chunk_size=1)), None)

        try:
            ask(first_keys, seconds=FIRST_SECONDS)
        except (BaseError, OSError) as error:
            raise _cannot_list(self.url, cause_of(error)) from None

    def refs(self, span: Span = WHOLE) -> Iterator[ImageRef]:
        """Yield the photos under the prefix, bytewise by key; no page beyond the span is asked for.

        Raises:
            SourceError: The listing breaks off, holds a key that cannot be read, or has no order.
        """
        after, until = self._key(span.after), self._key(span.last)
        last, position = after or "", Position(self.source)
        skip = len(self._address.key) + 1 if self._address.key else 0
        left_out = ""
        passed_over = _passed_over(skip, self.selection)
        for meta in self._objects(after, until):
            key, size = meta["path"], meta["size"]
            if until is not None and key > until:
                return
            if (left_out and key.startswith(left_out)) or self._is_own(key):
                continue
            if (found := passed_over(key)) is not None:
                end, why = found
                left_out = key[:end].removesuffix("/") + "/"
                self.ignored.add(why)
            elif not has_photo_suffix(key.encode()):
                if size:  # no directory marker
                    self.ignored.other += 1
            elif key <= last:
                self._check_marker(key, size, last)
            else:
                yield _ref(f"{self._address.root}/{key}", meta, position)
            last = max(last, key)

    def _key(self, key: OrderKey | None) -> str | None:
        return key and key[2].decode().removeprefix(f"{self._address.root}/")

    def _is_own(self, key: str) -> bool:
        return self.own is not None and self.own.holds_key(self._address.root, key)

    def _check_marker(self, key: str, size: int, last: str) -> None:
        """Let only the marker ``x.jpg/`` be out of order: obstore shows it as ``x.jpg``."""
        if size:
            raise SourceError(
                f"{self.url}: the store lists {key!r} after {last!r}, not in the order of keys;"
                " name its photos in an @list"
            )

    def _objects(self, after: str | None, until: str | None) -> Iterator[ObjectMeta]:
        """The objects behind a key, as far as the page with another.

        A page of them that breaks off is asked for again.
        """
        from obstore.exceptions import BaseError

        # obstore's own retries are off: ``ask`` repeats a page, and serves signals meanwhile.
        store = self.stores.open(self._address, "none")
        pages = Pages(self._address, store, self.stores, after, until)
        # In a thread, a page ahead, so that nobody waits for the store at the end of each page.
        with Pool(1) as pool:
            ahead = read_ahead(lambda _: pool.submit(lambda: ask(pages.next)), count(), depth=2)
            try:
                for page in ahead:
                    if page is None:
                        return
                    yield from page
            except (BaseError, OSError) as error:
                why = _cannot_list(self.url, cause_of(error))
                raise SourceError(f"{why}; then the same command continues") from None


@dataclass(frozen=True, slots=True)
class RemotePhoto:
    """One photo by its URL, whatever its suffix."""

    url: str
    source: int
    meta: ObjectMeta | None = None
    """What the store says of it; None if it was not asked."""

    def refs(self, span: Span = WHOLE) -> Iterator[ImageRef]:
        """Yield it, if it is in the span."""
        ref = _ref(self.url, self.meta, Position(self.source))
        if span.holds(ref.order_key):
            yield ref


def find_object(url: str, stores: Stores) -> ObjectMeta | None:
    """What a store says of an object; None if it is missing or may not be seen.

    Raises:
        SourceError: The store does not answer.
    """
    from obstore.exceptions import BaseError

    address = Address.parse(url)
    if not address.key:
        return None
    store = stores.open(address, "short")
    try:
        return ask(lambda: store.head(address.key), seconds=FIRST_SECONDS)
    except (BaseError, OSError) as error:
        cause = cause_of(error)
        if cause.may_pass or cause.kind == "credentials":
            raise _cannot_list(url, cause) from None
        return None  # the answer gives no reason; if something is wrong, listing will tell


def _ref(url: str, meta: ObjectMeta | None, position: Position) -> ImageRef:
    if meta is None:
        return ImageRef(url, position=position)
    modified_at = microseconds(meta["last_modified"])
    return ImageRef(url, meta["size"], modified_at, position, meta["e_tag"])


def microseconds(moment: datetime) -> int | None:
    """Microseconds since 1970 UTC; None for 1970 itself, obstore's word for an unknown time."""
    return (moment - _EPOCH) // timedelta(microseconds=1) or None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _cannot_list(url: str, cause: Cause) -> SourceError:
    return SourceError(f"cannot list {url!r}: {cause.text}")


def _hidden_end(key: str, start: int) -> int | None:
    """The end of the first segment behind ``start`` that is hidden; None without one."""
    if not (key.startswith(".", start) or key.find("/.", start) >= 0):
        return None
    found = _HIDDEN_SEGMENT.search(key, start)
    if found is None:
        return None
    end = key.find("/", found.end())
    return len(key) if end < 0 else end + 1


_HIDDEN_SEGMENT = re.compile(r"(?:(?<=/)|^)\.(?!\.?(?:/|\Z))")
"""Begins with a dot, and is not all of one or two, which are no names but may be in a key."""


def _passed_over(start: int, selection: Selection) -> Callable[[str], tuple[int, Ignored] | None]:
    """What tells of a key whether one of its segments behind ``start`` is left out.

    It gives the end of the first such segment and what it counts as; None for a key to take.
    """
    excludes, clear = selection.excludes(), ""

    def hidden(key: str) -> tuple[int, Ignored] | None:
        end = _hidden_end(key, start)
        return None if end is None else (end, _HIDDEN)

    def hidden_or_excluded(key: str) -> tuple[int, Ignored] | None:
        nonlocal clear
        assert excludes is not None  # noqa: S101 - for mypy
        folder = key[: key.rfind("/", start) + 1]
        begin = len(clear) if clear and clear == folder else start
        while begin < len(key):
            end = key.find("/", begin) + 1 or len(key)
            if _HIDDEN_SEGMENT.match(key, begin):
                return end, _HIDDEN
            if excludes(key[start:end]):
                return end, _EXCLUDED
            begin = end
        clear = folder
        return None

    return hidden if excludes is None else hidden_or_excluded


_HIDDEN, _EXCLUDED = Ignored(hidden=1), Ignored(excluded=1)
