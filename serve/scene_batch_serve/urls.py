"""Photos by URLs that strangers give: from the public Internet, named hosts and named buckets.

The server's address is looked up once, all that is found is checked, and that is what is asked; so
is every redirect's (object_store/web.py). What runs beside us must not be reached through us.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from scene_batch.errors import UsageError
from scene_batch.object_store.address import BUCKET_SCHEMES, WEB_SCHEMES, Address
from scene_batch.object_store.networks import Place
from scene_batch.object_store.stores import Stores
from scene_batch.records import ImageRef
from scene_batch.sources.reading import Reader
from scene_batch_serve.problems import Problem


class Urls:
    """Says which URLs are fetched, and makes the reader that fetches them.

    Args:
        hosts: Names or addresses that may be asked though they are not public.
        buckets: Those that may be read: ``s3://name``.

    Raises:
        UsageError: One of them is none.
    """

    def __init__(self, hosts: Iterable[str] = (), buckets: Iterable[str] = ()) -> None:
        self._hosts = {_host(name) for name in hosts}
        self._buckets = {_bucket(name) for name in buckets}

    def item(self, url: str) -> ImageRef:
        """The photo at a URL.

        Raises:
            Problem: It is no URL, or one that is not fetched.
        """
        scheme, mark, rest = url.partition("://")
        url = f"{scheme.lower()}{mark}{rest}"
        if scheme.lower() not in (*WEB_SCHEMES, *BUCKET_SCHEMES) or "://" not in url:
            raise _bad("the URL must begin with https:// or http://")
        try:
            address = Address.parse(url)
        except UsageError as error:
            raise _bad(str(error)) from None
        if address.is_listable and address.root not in self._buckets:
            message = "photos are not fetched from this bucket"
            raise Problem(HTTPStatus.FORBIDDEN, "url_forbidden", message)
        return ImageRef(url)

    def reader(self, seconds: float, largest: int) -> Reader:
        """What fetches them, within a time and a size."""
        return Reader(Stores(seconds, allows=self._allows), largest)

    def _allows(self, place: Place) -> bool:
        return not place.is_inside or place.host.lower() in self._hosts


def _bad(message: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "bad_path", message)


def _host(name: str) -> str:
    if not name or any(letter in name for letter in "/@?# "):
        raise UsageError(f"--allow-host {name!r} is no host: say a name or an address, as in URLs")
    return name.lower().strip("[]")


def _bucket(name: str) -> str:
    address = Address.parse(name if "://" in name else f"s3://{name}")
    if not address.is_listable or address.key:
        raise UsageError(f"--allow-bucket {name!r} is no bucket: say s3://name")
    return address.root
