"""Object stores by URL, opened as the environment says; their errors, told without secrets."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from scene_batch.errors import StoreError, UsageError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig
    from tenacity import Retrying

BUCKET_SCHEMES = ("s3", "gs", "az")
"""What can be listed and written: Amazon's S3 and its like, Google's and Azure's stores."""
WEB_SCHEMES = ("http", "https")
"""Where single photos can be read."""

CONNECT_SECONDS = 5.0
IDLE_SHARE = 0.25
"""Of a read's time limit: so long may a connection be silent before it is tried again."""

Patience: TypeAlias = Literal["none", "short", "long"]
"""How obstore itself repeats a request: not at all where we count, a little before any work has
begun, and long enough for a store's bad minute once it has."""

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


_UNREADABLE_SEGMENTS = {"", ".", ".."}
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
        if scheme in BUCKET_SCHEMES and key and _UNREADABLE_SEGMENTS & set(key.split("/")):
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


class Stores:
    """The stores of a run, each opened once; safe for threads.

    Args:
        timeout: Seconds that one request may take, its body included.
    """

    def __init__(self, timeout: float = 60.0) -> None:
        self.timeout = timeout
        self._opened: dict[tuple[str, Patience], ObjectStore] = {}
        self._lock = Lock()

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
        """The store of one object's URL, and its key there.

        Raises:
            UsageError: It is no URL that can be opened.
            StoreError: The environment does not say how to open it.
        """
        address = Address.parse(url)
        if address.is_listable:
            return self.open(address, patience), address.key
        path = urlsplit(url).path.removeprefix("/")
        plain = re.fullmatch(r"[\w.~/-]+", path, re.ASCII) and url.endswith(path)
        if plain and not _UNREADABLE_SEGMENTS & set(path.split("/")):
            return self.open(address, patience), path
        # Only as a store of its own does a URL keep its query and its encoding.
        return self._web(url, patience), ""

    def _make(self, address: Address, patience: Patience) -> ObjectStore:
        from obstore.exceptions import BaseError

        makers = {"s3": _s3, "gs": _gs, "az": _az}
        try:
            if not address.is_listable:
                return self._web(f"{address.root}/", patience)
            client: ClientConfig = {**self._client(), "allow_http": _allows_http()}
            return makers[address.scheme](address.bucket, client, _RETRIES[patience])
        except BaseError as error:
            raise StoreError(f"cannot open {address.root}: {cause_of(error).text}") from None

    def _web(self, url: str, patience: Patience) -> ObjectStore:
        from obstore.store import HTTPStore

        options: ClientConfig = {**self._client(), "allow_http": True}
        return HTTPStore.from_url(url, client_options=options, retry_config=_RETRIES[patience])

    def _client(self) -> ClientConfig:
        return {
            "connect_timeout": timedelta(seconds=min(CONNECT_SECONDS, self.timeout)),
            "read_timeout": timedelta(seconds=self.timeout * IDLE_SHARE),
            "timeout": timedelta(seconds=self.timeout),
        }


def _allows_http() -> bool:
    """Whether the environment names an endpoint without TLS, or says that there is one."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return any(os.environ.get(name, "").startswith("http://") for name in names) or _says_yes(
        "AWS_ALLOW_HTTP",
        "GOOGLE_ALLOW_HTTP",
        "AZURE_ALLOW_HTTP",
        "AZURE_STORAGE_USE_EMULATOR",
    )


def _says_yes(*names: str) -> bool:
    return any(
        os.environ.get(name, "").lower() in ("true", "1", "yes", "requester") for name in names
    )


def _s3(bucket: str, client: ClientConfig, retries: RetryConfig) -> ObjectStore:
    from obstore.store import S3Store

    options = _aws_profile()
    if _says_yes("AWS_REQUESTER_PAYS", "AWS_REQUEST_PAYER"):
        options["request_payer"] = True
    return S3Store(bucket, client_options=client, retry_config=retries, **options)


def _gs(bucket: str, client: ClientConfig, retries: RetryConfig) -> ObjectStore:
    from obstore.store import GCSStore

    return GCSStore(bucket, client_options=client, retry_config=retries)


def _az(container: str, client: ClientConfig, retries: RetryConfig) -> ObjectStore:
    from obstore.store import AzureStore

    return AzureStore(container, client_options=client, retry_config=retries)


_KEYS_BY_ENVIRONMENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SKIP_SIGNATURE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def _aws_profile() -> dict[str, Any]:
    """Credentials and region of a profile (SSO included) where the environment has no others.

    Profiles are boto3's to read; obstore knows the rest.

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


Kind: TypeAlias = Literal[
    "missing",
    "no_bucket",
    "exists",
    "forbidden",
    "credentials",
    "region",
    "key",
    "timeout",
    "unavailable",
    "other",
]


class Cause(NamedTuple):
    """Why a request failed."""

    kind: Kind
    text: str
    """For a person, with the remedy where there is one; no secret, no URL."""

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in ("timeout", "unavailable")


def retrying(seconds: float) -> Retrying:
    """Calls again what fails with a cause that may pass: exponential backoff with full jitter.

    Args:
        seconds: No call begins later than that after the first.
    """
    from tenacity import Retrying, retry_if_exception, stop_before_delay
    from tenacity import wait_random_exponential as backoff

    return Retrying(
        retry=retry_if_exception(lambda error: cause_of(error).may_pass),
        stop=stop_before_delay(seconds),
        wait=backoff(multiplier=0.1, max=min(5.0, seconds / 6)),
        reraise=True,
    )


class ShortReadError(OSError):
    """A body has another number of bytes than the store says."""

    def __init__(self, size: int, expected: int) -> None:
        super().__init__(f"{size} of {expected} bytes came")


_CREDENTIAL_CODES = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestTimeTooSkewed",
    "AuthenticationFailed",
)
_REGION_CODES = (
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
)
_REMEDIES: dict[Kind, str] = {
    "missing": "not found",
    "no_bucket": "no such bucket; check its name, and AWS_ENDPOINT_URL where it is not Amazon's",
    "exists": "it is already there",
    "forbidden": "access denied; it needs the rights to list, get and (for --out) put and delete",
    "credentials": "no valid credentials; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the"
    " task's role or AWS_PROFILE; AWS_SKIP_SIGNATURE=true for a public bucket",
    "region": "the bucket is in another region; set AWS_REGION to its own",
    "timeout": "no answer in time; check the network and the endpoint",
    "unavailable": "no sound answer; check the network and the endpoint",
}
_METADATA_HOSTS = ("169.254.", "metadata.google", "fd00:ec2::")
_SHORTEST_SECRET = 8
_SERVER_ERROR, _TOO_MANY, _TOO_SLOW = 500, 429, 408


def cause_of(error: BaseException) -> Cause:
    """Tell why a request to a store failed.

    obstore has a class for some causes; for the rest only its text tells them apart.
    """
    from obstore.exceptions import AlreadyExistsError, InvalidPathError

    text = str(error)
    if isinstance(error, ShortReadError):
        return Cause("unavailable", text)
    if isinstance(error, InvalidPathError):
        key = re.search(r'path: "((?:[^"\\]|\\.)*)"', text)
        name = key[1] if key else ""
        return Cause("key", f"the key {name!r} has an empty, '.' or '..' segment; rename it")
    if isinstance(error, AlreadyExistsError):
        return Cause("exists", _REMEDIES["exists"])
    found = re.search(r"status code: (\d{3})", text)
    status = int(found[1]) if found else None
    found = re.search(r"<Code>(\w+)</Code>", text)
    code = found[1] if found else ""
    kind = _kind(error, text, status, code)
    if kind == "other" and status is None:
        return Cause(kind, without_secrets(text.split("\n", 1)[0]))
    said = f"HTTP {status} {code}".rstrip() if status else _network_reason(text)
    remedy = _REMEDIES.get(kind, "")
    return Cause(kind, f"{remedy} ({said})" if remedy and said else remedy or said)


def _kind(error: BaseException, text: str, status: int | None, code: str) -> Kind:
    if "redirect without LOCATION" in text or code in _REGION_CODES:
        return "region"
    if code in ("NoSuchBucket", "ContainerNotFound"):
        return "no_bucket"
    if any(host in text for host in _METADATA_HOSTS) or code in _CREDENTIAL_CODES:
        return "credentials"
    if isinstance(error, FileNotFoundError):
        return "missing"
    if status in (401, 403) or isinstance(error, PermissionError):
        return "forbidden"
    if "TimedOut" in text or "kind: Timeout" in text or status == _TOO_SLOW:
        return "timeout"
    if status is not None and (status >= _SERVER_ERROR or status == _TOO_MANY):
        return "unavailable"
    if status is None and "HTTP error" in text and "builder error" not in text:
        return "unavailable"
    return "other"


def _network_reason(text: str) -> str:
    """What the network said, in a word or two."""
    for sign, reason in (
        ("ConnectionRefused", "connection refused"),
        ("dns error", "unknown host"),
        ("lookup address", "unknown host"),
        ("certificate", "bad certificate"),
        ("IncompleteBody", "the connection broke"),
        ("body error", "the connection broke"),
    ):
        if sign in text:
            return reason
    return ""


def without_secrets(text: str) -> str:
    """A library's text without URLs, and without what the environment holds as secrets."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and re.search(
            "KEY|SECRET|TOKEN|PASSWORD|SAS", name.upper()
        ):
            text = text.replace(value, "…")
    return re.sub(r"\w+://\S+", "…", text)
