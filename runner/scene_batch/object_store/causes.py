"""Why a request to a store failed, in words without secrets, and whether a retry may help."""

from __future__ import annotations

import os
import re
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal[
    "missing",
    "no_bucket",
    "exists",
    "answer",
    "forbidden",
    "archived",
    "credentials",
    "region",
    "key",
    "timeout",
    "unavailable",
    "unsupported",
    "refused",
    "other",
]


class Cause(NamedTuple):
    """Why a request failed."""

    kind: Kind
    text: str
    """For a person, with the remedy where there is one; no secret, no URL."""
    may_pass: bool = False
    """Whether the same request may succeed later."""


class PanicError(OSError):
    """obstore panicked at a request."""


class ShortReadError(OSError):
    """Fewer or more bytes came than the store says."""

    def __init__(self, size: int, expected: int) -> None:
        super().__init__(f"{size} of {expected} bytes came")


class UnansweredError(OSError):
    """A server of the web gave no sound answer; the text is the reason in a word or two."""


class NoPhotoError(OSError):
    """A server of the web answered, but what it says is of no use; the text is why."""


class StatusError(OSError):
    """A server of the web refused."""

    @classmethod
    def of(cls, status: int, text: str) -> StatusError:
        """Of an HTTP status and the answer's text, in the form that ``cause_of`` knows."""
        kind = _NotThereError if status == _NOT_THERE else cls
        return kind(f"status code: {status} {text}")


class _NotThereError(StatusError, FileNotFoundError):
    pass


_CREDENTIAL_CODES = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestTimeTooSkewed",
    "AuthenticationFailed",
)
_ARCHIVED_CODES = ("InvalidObjectState", "BlobArchived", "BlobBeingRehydrated")
"""What S3 says of an object in Glacier, and Azure of a blob in its archive tier."""
_REGION_CODES = (
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
)
_REMEDIES: dict[Kind, str] = {
    "missing": "not found",
    "no_bucket": "no such bucket; check its name, and AWS_ENDPOINT_URL where it is not Amazon's",
    "exists": "it is already there",
    "answer": "the server's answer is of no use: no length, a wrong date, or endless redirects",
    "forbidden": "access denied; it needs the rights to list, get and (for --out) put and delete",
    "archived": "it is in an archive; restore it first",
    "credentials": "no valid credentials; check the task's role, for s3:// AWS_ACCESS_KEY_ID and"
    " AWS_SECRET_ACCESS_KEY or AWS_PROFILE (AWS_SKIP_SIGNATURE=true for a public bucket), for gs://"
    " GOOGLE_APPLICATION_CREDENTIALS, for az:// AZURE_STORAGE_ACCOUNT_KEY",
    "region": "the bucket is in another region; set AWS_REGION to its own",
    "timeout": "no answer in time; check the network and the endpoint",
    "unavailable": "no sound answer; check the network and the endpoint",
    "unsupported": "the store does not know such a request; outputs need conditional writes",
}
OF_THE_WEB: dict[Kind, str] = {
    "forbidden": "access denied by the server",
    "missing": "not found on the server",
    "no_bucket": "not found on the server",
    "credentials": "access denied by the server",
    "unsupported": "the server does not know such a request",
}
"""What is said of a server of the web, where the remedy for a bucket would mislead."""
_METADATA_SERVER = re.compile(
    r"http://(169\.254\.169\.254|169\.254\.170\.\d+|metadata\.google\.internal|\[fd00:ec2::254\])"
)
"""Servers that give a machine the keys of its role."""
_SHORTEST_SECRET = 8
_SERVER_ERROR, _NOT_IMPLEMENTED, _TOO_MANY, _TOO_SLOW, _NOT_THERE = 500, 501, 429, 408, 404


def cause_of(error: BaseException) -> Cause:
    """Tell why a request to a store failed.

    obstore has a class for some causes; for the rest only its text tells them apart.
    """
    from obstore.exceptions import AlreadyExistsError, InvalidPathError

    text = str(error)
    if isinstance(error, ShortReadError):
        return Cause("unavailable", text, may_pass=True)
    if isinstance(error, TimeoutError):
        return Cause("timeout", _REMEDIES["timeout"], may_pass=True)
    if isinstance(error, UnansweredError):
        said = f" ({text})" if text else ""
        return Cause("unavailable", f"{_REMEDIES['unavailable']}{said}", may_pass=True)
    if isinstance(error, NoPhotoError):
        return Cause("answer", f"the server's answer is of no use: {text}")
    if isinstance(error, PanicError):
        return Cause("key", text)
    if isinstance(error, InvalidPathError):
        key = re.search(r'path: "((?:[^"\\]|\\.)*)"', text)
        name = key[1] if key else ""
        return Cause(
            "key",
            f"the key '{name}' has a segment '.' or '..', or, in gs:// and az://, an empty one or a"
            " control character; rename it",
        )
    if isinstance(error, AlreadyExistsError) and "BlobArchived" not in text:
        return Cause("exists", _REMEDIES["exists"])
    found = re.search(r"status code: (\d{3})", text)
    status = int(found[1]) if found else None
    found = re.search(r"<Code>(\w+)</Code>", text)
    code = found[1] if found else ""
    kind = _kind(error, _without_names(text), status, code)
    if kind in ("other", "key") and status is None:
        return Cause(kind, without_secrets(text.split("\n", 1)[0]))
    # A role's keys come from a server, which may be down for a moment.
    may_pass = kind in ("timeout", "unavailable") or (
        kind == "credentials" and (status is None or status >= _SERVER_ERROR)
    )
    said = f"HTTP {status} {code}".rstrip() if status else _network_reason(_without_names(text))
    remedy = _REMEDIES.get(kind, "")
    return Cause(kind, f"{remedy} ({said})" if remedy and said else remedy or said, may_pass)


def _without_names(text: str) -> str:
    """Obstore's text without keys and paths of URLs, which may contain any word."""
    text = re.sub(r"(\w+://[^/\s]*)\S*", r"\1", text)
    return re.sub(r'path: "(?:[^"\\]|\\.)*"', "", text)


def _kind(error: BaseException, text: str, status: int | None, code: str) -> Kind:
    if _METADATA_SERVER.search(text) or code in _CREDENTIAL_CODES:
        return "credentials"
    if status is not None:
        return _kind_of_status(error, status, code)
    if "redirect without LOCATION" in text:
        return "region"
    if isinstance(error, FileNotFoundError):
        return "missing"
    if re.search("MissingContentLength|TooManyRedirects|InvalidLastModified", text):
        return "answer"
    if "TimedOut" in text or "kind: Timeout" in text:
        return "timeout"
    if "builder error" in text:  # it is no URL
        return "key"
    if "HTTP error" in text or "response body" in text:
        return "unavailable"
    return "other"


def _kind_of_status(error: BaseException, status: int, code: str) -> Kind:
    if code in _REGION_CODES:
        return "region"
    if code in _ARCHIVED_CODES:
        return "archived"
    if code in ("NoSuchBucket", "ContainerNotFound"):
        return "no_bucket"
    if isinstance(error, FileNotFoundError):
        return "missing"
    if status in (401, 403):
        return "forbidden"
    if status == _TOO_SLOW:
        return "timeout"
    if status == _NOT_IMPLEMENTED:
        return "unsupported"
    return "unavailable" if status >= _SERVER_ERROR or status == _TOO_MANY else "refused"


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
    """A library's text without URLs, and without the secrets in the environment."""
    for name, value in os.environ.items():
        is_secret = re.search("KEY|SECRET|TOKEN|PASSWORD|SAS", name.upper())
        if is_secret and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "…")
    return re.sub(r"\w+://\S+", "…", text)
