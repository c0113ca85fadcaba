"""S3 asked by signed URLs, for keys that obstore cannot name and pages that hold one of them.

obstore signs only the URL of an object, but it takes what is behind an endpoint as it stands: so
the request is put into the endpoint, and the object is the empty one behind it. All that leads to
credentials stays obstore's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_plus

from scene_batch.object_store.causes import NoPhotoError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from obstore import ObjectMeta
    from obstore.store import S3Store

_STRANGE = re.compile(r"(?:^|/)(?:\.{1,2})?(?:/|\Z)|[\x00-\x1f\x7f]")
_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:/|\Z)")
_EXPIRES = timedelta(minutes=15)
_ALL_KEYS, _ONE_OBJECT = "x-id=ListObjectsV2", "x-id=GetObject"
MOST_PAGE_BYTES = 32 << 20
"""Of a page of a listing: a thousand keys have at most some MB."""


def is_strange(key: str) -> bool:
    """Whether a key has a segment or a control character that obstore does not take."""
    return bool(key) and _STRANGE.search(key) is not None


def can_be_asked_for(key: str) -> bool:
    """Whether a URL can name a key: its segments ``.`` and ``..`` are taken out on the way."""
    return not _DOTS.search(key)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs requests to one bucket."""

    open: Callable[..., S3Store]
    """Opens the bucket, with other settings where they are given."""
    unsigned: str | None = None
    """The bucket's URL where requests are not to be signed."""
    requester_pays: bool = False

    def object(self, key: str) -> str:
        """The URL of an object."""
        return self._signed("/" + quote(key, safe="/~"), [_ONE_OBJECT])

    def page(self, prefix: str, after: str) -> str:
        """The URL of the page of a listing behind a key; ``prefix`` has no closing slash."""
        query = ["list-type=2", "encoding-type=url"]
        query += [f"start-after={quote(after, safe='~')}"] if after else []
        # A slash comes behind what is last.
        return self._signed(
            "", [*query, f"prefix={quote(prefix, safe='~')}" if prefix else _ALL_KEYS]
        )

    def _signed(self, path: str, query: list[str]) -> str:
        import obstore

        pays = ["x-amz-request-payer=requester"] if self.requester_pays else []
        request = f"{path}?{'&'.join(pays + query)}"
        if self.unsigned is not None:
            return f"{self.unsigned}{request}/"
        base = obstore.sign(self.open(), "GET", "", _EXPIRES).partition("?")[0].rstrip("/")
        store = self.open(endpoint=base + request, virtual_hosted_style_request=True)
        return obstore.sign(store, "GET", "", _EXPIRES)


def parse_page(data: bytes) -> tuple[list[ObjectMeta], bool]:
    """The objects of a listing's page, by key, and whether there are more behind them.

    Raises:
        NoPhotoError: It is no such page.
    """
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - of the user's own store
        if _name(root) != "ListBucketResult":
            raise ValueError(f"it is {_name(root)!r}")
        found = [_meta(entry) for entry in root.iter() if _name(entry) == "Contents"]
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise NoPhotoError(f"not a page of a listing ({error})") from None
    more = any(_name(entry) == "IsTruncated" and entry.text == "true" for entry in root)
    return found, more


def _meta(entry: Element) -> ObjectMeta:
    values = {_name(child): child.text or "" for child in entry}
    moment = datetime.fromisoformat(values["LastModified"]).astimezone(UTC)
    meta: dict[str, Any] = {
        "path": unquote_plus(values["Key"]),
        "size": int(values["Size"]),
        "last_modified": moment,
        "e_tag": values.get("ETag"),
        "version": None,
    }
    return meta  # type: ignore[return-value]


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
