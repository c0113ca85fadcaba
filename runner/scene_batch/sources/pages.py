"""The keys below a prefix, page by page, whatever they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scene_batch.object_store.address import Address
from scene_batch.object_store.causes import NoPhotoError, cause_of
from scene_batch.object_store.signed import MOST_PAGE_BYTES, is_strange, parse_page
from scene_batch.object_store.stores import Stores
from scene_batch.sources.directory import has_photo_suffix

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_PAGE = 1000
"""Keys that are taken from a listing at a time: as many as stores send at once."""


@dataclass(slots=True)
class Pages:
    """A listing that can be asked for again behind the last key that came."""

    address: Address
    store: ObjectStore
    stores: Stores
    last: str | None = None
    until: str | None = None
    """The key behind which nothing is asked for; None: there is none."""
    _before: str | None = None
    _stream: Iterator[Sequence[ObjectMeta]] | None = None
    _by_signed_urls: bool = False
    _ended: bool = False

    def next(self) -> Sequence[ObjectMeta] | None:
        """The next page, without markers; None at the end.

        From the first page on that holds a key which obstore cannot name, S3 is asked by signed
        URLs.
        """
        from obstore.exceptions import InvalidPathError

        if self.until is not None and self.last is not None and self.last >= self.until:
            return None
        if not self._by_signed_urls and not is_strange(self.last or ""):
            try:
                return self._by_obstore()
            except InvalidPathError:
                if self.address.scheme != "s3":
                    raise
        self._by_signed_urls = True
        return self._by_signed_url()

    def _by_signed_url(self) -> Sequence[ObjectMeta] | None:
        if self._ended:
            return None
        signer = self.stores.signer(self.address.bucket)
        answer = self.stores.web.get(
            signer.page(self.address.key, self.last or ""), MOST_PAGE_BYTES, length=False
        )
        page, more = parse_page(answer.data or b"")
        self._ended = not more or not page
        if page:
            self.last = page[-1]["path"]
        return page

    def _by_obstore(self) -> Sequence[ObjectMeta] | None:
        try:
            if self._stream is None:
                prefix = self.address.key or None
                stream = self.store.list(prefix, offset=self.last, chunk_size=_PAGE)
                self._stream = iter(stream)
            page = next(self._stream, ())
            markers = {meta["path"] for meta in page if self._is_marker(meta)}
        except BaseException:
            self._stream = None
            raise
        if not page:
            return self._at_the_end()
        self._see(page)
        return [meta for meta in page if meta["path"] not in markers or meta["size"]]

    def _see(self, page: Sequence[ObjectMeta]) -> None:
        """Remember the last key of all, and the one before it."""
        keys = sorted({*(meta["path"] for meta in page), *filter(None, (self._before, self.last))})
        self.last = keys[-1]
        self._before = keys[-2] if len(keys) > 1 else None

    def _at_the_end(self) -> Sequence[ObjectMeta] | None:
        """Make sure of the end: obstore takes any XML without keys for it, a login page too.

        So the last key is asked for again: what a sound store answers begins with it.

        Raises:
            NoPhotoError: The store's answer is no listing.
        """
        if self.last is None:
            return self._first_page_by_signed_url()
        stream = self.store.list(self.address.key or None, offset=self._before, chunk_size=_PAGE)
        page = next(iter(stream), ())
        behind = [meta for meta in page if meta["path"] > self.last]
        if behind:
            self._see(behind)
        elif self.last not in {meta["path"] for meta in page}:  # or it was deleted a moment ago
            return self._page_behind_what_was_deleted()
        return behind or None

    def _first_page_by_signed_url(self) -> Sequence[ObjectMeta] | None:
        """S3 asked in another way where obstore finds no key at all; None where it has none."""
        if self.address.scheme != "s3":
            return None
        try:
            page = self._by_signed_url()
        except NoPhotoError:
            raise
        except (OSError, ValueError) as error:
            if cause_of(error).may_pass:
                raise
            return None  # it does not take such a request
        self._by_signed_urls = bool(page)
        return page or None

    def _page_behind_what_was_deleted(self) -> Sequence[ObjectMeta] | None:
        if self.address.scheme != "s3":
            raise NoPhotoError("not a page of a listing: its last key is not in it any more")
        self._by_signed_urls = True
        return self._by_signed_url()

    def _is_marker(self, meta: ObjectMeta) -> bool:
        """Whether an object without bytes is a directory marker ``x.jpg/``, not a photo."""
        if meta["size"] or not has_photo_suffix(meta["path"].encode()):
            return False
        try:
            self.store.head(meta["path"])
        except FileNotFoundError:
            return True
        except Exception as error:
            if cause_of(error).kind != "forbidden":  # reading it will give a row that says so
                raise
        return False
