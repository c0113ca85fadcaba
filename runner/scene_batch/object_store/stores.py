"""The stores of a run, opened as the environment says."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from scene_batch.errors import StoreError
from scene_batch.object_store.address import UNREADABLE_SEGMENTS, Address
from scene_batch.object_store.asking import no_panics
from scene_batch.object_store.causes import cause_of, without_secrets
from scene_batch.object_store.signed import Signer

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Store

    from scene_batch.object_store.networks import Place
    from scene_batch.object_store.web import Web

CONNECT_SECONDS = 5.0
ATTEMPT_SHARE = 0.45
"""Share of a read's time limit for one attempt; the last one begins before half of the limit."""
IDLE_SHARE = 0.25
"""Share of a read's time limit in which a connection may be silent before the next attempt."""

Patience: TypeAlias = Literal["none", "short", "long"]
"""How long obstore itself retries: ``none`` where we retry and count, ``short`` before any work has
begun, ``long`` once it has, since a store may have a bad minute."""

_BACKOFF = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2}
_RETRIES: dict[Patience, RetryConfig] = {
    "none": {"max_retries": 0},
    "short": {
        "max_retries": 3,
        "retry_timeout": timedelta(seconds=8),
        "backoff": _BACKOFF,  # type: ignore[typeddict-item]
    },
    "long": {
        "max_retries": 12,
        "retry_timeout": timedelta(seconds=60),
        "backoff": _BACKOFF,  # type: ignore[typeddict-item]
    },
}


class Stores:
    """The stores of a run, each opened once; safe for threads.

    ``timeout`` is the seconds that a read may take, all its attempts together; ``attempt`` those of
    one of them, where it is to be another than a share of that. ``allows`` says which servers of
    the web may be asked; None: all.
    """

    def __init__(
        self,
        timeout: float = 60.0,
        attempt: float | None = None,
        allows: Callable[[Place], bool] | None = None,
    ) -> None:
        self.timeout, self._allows = timeout, allows
        self._attempt = timeout * ATTEMPT_SHARE if attempt is None else attempt
        self._opened: dict[tuple[str, Patience], ObjectStore] = {}
        self._lock = Lock()

    @cached_property
    def web(self) -> Web:
        """Reads from where no store is."""
        from scene_batch.object_store.web import Web

        return Web(
            connect=min(CONNECT_SECONDS, self.timeout),
            idle=self.timeout * IDLE_SHARE,
            whole=self._attempt,
            allows=self._allows,
        )

    def open(self, address: Address, patience: Patience = "long") -> ObjectStore:
        """The store of an address's bucket.

        Raises:
            StoreError: The environment does not say how to open it.
        """
        with self._lock:
            name = (address.root, patience)
            if name not in self._opened:
                self._opened[name] = self._make(address, patience)
            return self._opened[name]

    def find(self, url: str, patience: Patience = "none") -> tuple[ObjectStore, str]:
        """The store of one object's URL, and its key there; raises like ``open`` and ``parse``."""
        address = Address.parse(url)
        if address.is_listable:
            return self.open(address, patience), address.key
        path = urlsplit(url).path.removeprefix("/")
        plain = re.fullmatch(r"[\w.~/-]+", path, re.ASCII) and url.endswith(path)
        if plain and not UNREADABLE_SEGMENTS & set(path.split("/")):
            return self.open(address, patience), path
        # A URL keeps its query and its encoding only if it is opened as a store of its own.
        return self._web(url, patience), ""

    def signer(self, bucket: str) -> Signer:
        """What signs requests to a bucket of S3 that obstore cannot make."""
        address = Address("s3", bucket, "")
        client: ClientConfig = {**self._client(), "allow_http": _allows_http()}

        def opened(**settings: object) -> S3Store:
            with no_panics():
                return _s3(address, client, _RETRIES["none"], settings)

        return Signer(opened, _unsigned_url(bucket), _says_yes(*_PAYS))

    def _make(self, address: Address, patience: Patience) -> ObjectStore:
        from obstore.exceptions import BaseError

        _check_environment()
        try:
            if not address.is_listable:
                return self._web(f"{address.root}/", patience)
            client: ClientConfig = {**self._client(), "allow_http": _allows_http()}
            with no_panics():
                return _bucket(address, client, _RETRIES[patience])
        except (BaseError, OSError, ValueError) as error:
            raise StoreError(f"cannot open {address.root}: {cause_of(error).text}") from None

    def _web(self, url: str, patience: Patience) -> ObjectStore:
        from obstore.store import HTTPStore

        options: ClientConfig = {**self._client(), "allow_http": True}
        with no_panics():
            return HTTPStore.from_url(url, client_options=options, retry_config=_RETRIES[patience])

    def _client(self) -> ClientConfig:
        return {
            "connect_timeout": timedelta(seconds=min(CONNECT_SECONDS, self.timeout)),
            "read_timeout": timedelta(seconds=self.timeout * IDLE_SHARE),
            "timeout": timedelta(seconds=self._attempt),
        }


_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def _check_environment() -> None:
    """Refuse values at which obstore would panic.

    Raises:
        StoreError: An endpoint is no URL, or a key has a line break in it.
    """
    for name in _ENDPOINTS:
        value = os.environ.get(name, "")
        if value and not re.fullmatch(
            r"https?://[\w.-]+(:\d+)?(/\S*)?|https?://\[[\da-fA-F:]+\]\S*", value
        ):
            raise StoreError(f"{name} is no URL: begin it with https:// or http://")
    for name in _KEYS:
        if not os.environ.get(name, "").isprintable():
            raise StoreError(f"{name} has a line break or another control character in it")


def _allows_http() -> bool:
    """Whether the environment names an endpoint without TLS, or allows one."""
    return any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS) or _says_yes(
        "AWS_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "AZURE_STORAGE_USE_EMULATOR"
    )


def _says_yes(*names: str) -> bool:
    return any(
        os.environ.get(name, "").lower() in ("true", "1", "yes", "requester") for name in names
    )


_PAYS = ("AWS_REQUESTER_PAYS", "AWS_REQUEST_PAYER")


def _unsigned_url(bucket: str) -> str | None:
    """The URL of a bucket whose requests are not signed; None where they are."""
    if not _says_yes("AWS_SKIP_SIGNATURE"):
        return None
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    named = next(filter(None, map(os.environ.get, reversed(_ENDPOINTS))), None)
    return f"{(named or f'https://s3.{region}.amazonaws.com').rstrip('/')}/{bucket}"


def _bucket(address: Address, client: ClientConfig, retries: RetryConfig) -> ObjectStore:
    from obstore.store import AzureStore, GCSStore

    if address.scheme == "gs":
        return GCSStore(address.bucket, client_options=client, retry_config=retries)
    if address.scheme == "az":
        return AzureStore(address.bucket, client_options=client, retry_config=retries)
    return _s3(address, client, retries, {})


def _s3(
    address: Address, client: ClientConfig, retries: RetryConfig, settings: dict[str, Any]
) -> S3Store:
    from obstore.store import S3Store

    # Delete one by one: the answer to a bulk request that is refused has no status.
    options = {**_aws_profile(), "disable_bulk_delete": True, **settings}
    if _says_yes(*_PAYS):
        options["request_payer"] = True
    return S3Store(address.bucket, client_options=client, retry_config=retries, **options)


_KEYS_BY_ENVIRONMENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SKIP_SIGNATURE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def _aws_profile() -> dict[str, Any]:
    """Credentials and region of a profile (SSO included), if the environment has no others.

    boto3 reads profiles; obstore itself finds all other credentials.

    Raises:
        StoreError: AWS_PROFILE is set, but boto3 is missing or finds nothing.
    """
    profile = os.environ.get("AWS_PROFILE")
    if any(os.environ.get(name) for name in _KEYS_BY_ENVIRONMENT):
        return {}
    files = (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config"))
    paths = [os.environ.get(name) or f"~/.aws/{file}" for name, file in files]
    if not profile and not any(Path(path).expanduser().exists() for path in paths):
        return {}
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ModuleNotFoundError:
        if profile:
            raise StoreError(
                f"AWS_PROFILE={profile}: profiles need boto3: pip install 'scene-batch[aws]'"
            ) from None
        return {}
    try:
        session = boto3.Session()
        values: dict[str, Any] = {"credential_provider": Boto3CredentialProvider(session)}
    except (BotoCoreError, ValueError) as error:
        if not profile:
            return {}
        raise StoreError(f"AWS_PROFILE={profile}: {without_secrets(str(error))}") from None
    if session.region_name and not os.environ.get("AWS_REGION"):
        values["region"] = session.region_name
    return values
