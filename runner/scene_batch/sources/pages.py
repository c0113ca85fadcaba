"""The keys below a prefix, page by page, whatever they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
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
    _stream: Iterator[Sequence[ObjectMeta]] | None = None
    _by_signed_urls: bool = False
    _ended: bool = False

    def next(self) -> Sequence[ObjectMeta] | None:
        """The next page, without markers; None at the end.

        From the first page on that holds a key which obstore cannot name, S3 is asked by signed
        URLs.
        """
        from obstore.exceptions import InvalidPathError

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
        self.last = max(chain([self.last or ""], (meta["path"] for meta in page)))
        return [meta for meta in page if meta["path"] not in markers or meta["size"]]

    def _at_the_end(self) -> Sequence[ObjectMeta] | None:
        """Make sure of the end: obstore takes any XML without keys for it, a login page too.

        Raises:
            NoPhotoError: The store's answer is no listing.
        """
        if self.address.scheme != "s3":
            return None
        before = self.last or ""
        try:
            page = self._by_signed_url()
        except NoPhotoError:
            raise
        except (OSError, ValueError):  # it does not take such a request: obstore's word counts
            return None
        if not page or page[0]["path"] <= before:  # some stores do not know ``start-after``
            return None
        self._by_signed_urls = True
        return page

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
