"""What a client is told where there is no answer: a status of HTTP, a code, a line of text."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from scene_batch.records import Unreadable, UnreadableCode

AGAIN = {"Retry-After": "1"}
"""Said with 503: the queue is short, so that a second later much is another way."""
CLOSE = {"Connection": "close"}
"""Said where the rest of a request is not read."""

_STATUS: dict[UnreadableCode, HTTPStatus] = {
    "empty": HTTPStatus.BAD_REQUEST,
    "truncated": HTTPStatus.BAD_REQUEST,
    "corrupt": HTTPStatus.BAD_REQUEST,
    "bad_path": HTTPStatus.BAD_REQUEST,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unknown_format": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "no_answer": HTTPStatus.UNPROCESSABLE_ENTITY,
    "missing": HTTPStatus.UNPROCESSABLE_ENTITY,
    "not_a_file": HTTPStatus.UNPROCESSABLE_ENTITY,
    "permission": HTTPStatus.UNPROCESSABLE_ENTITY,
    "archived": HTTPStatus.UNPROCESSABLE_ENTITY,
    "fetch_failed": HTTPStatus.UNPROCESSABLE_ENTITY,
    "timeout": HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(Exception):
    """Why a request gets no answer."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, row: Unreadable) -> Problem:
        """Of a photo that cannot be read."""
        status = _STATUS[row.code]
        again = AGAIN if status == HTTPStatus.SERVICE_UNAVAILABLE else None
        return cls(status, row.code, row.message, again)

    @classmethod
    def urls_off(cls, remedy: str) -> Problem:
        """A photo by URL, where none is fetched."""
        return cls(HTTPStatus.FORBIDDEN, "urls_off", f"no photos are fetched here; {remedy}")

    def to_json(self) -> dict[str, object]:
        """The body of the answer."""
        return {"error": {"code": self.code, "message": self.message}}


def overloaded() -> Problem:
    """More has come than can be done soon."""
    message = "more photos than can be classified soon; try again in a second"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", message, AGAIN)


def too_many_connections() -> Problem:
    """More clients than there may be, and none of them is idle."""
    message = "too many connections; try again in a second"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", message, AGAIN | CLOSE)


def stopping() -> Problem:
    """The server is about to end."""
    message = "the server is stopping; ask another one"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "stopping", message, AGAIN | CLOSE)


def too_large(most: int) -> Problem:
    """A request of more bytes than are taken."""
    message = f"the request is over {most} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", message, CLOSE)


def malformed(message: str) -> Problem:
    """A request that cannot be understood."""
    return Problem(HTTPStatus.BAD_REQUEST, "bad_request", message)


def unsuitable(code: str, message: str) -> Problem:
    """A request that is understood and asks for what cannot be done."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, code, message)


def too_many(most: int) -> Problem:
    """More photos than one request may have."""
    return unsuitable("too_many_files", f"a request of more than {most} photos; send several")


def failed() -> Problem:
    """A defect, or a model that fails: what it was is in the log."""
    message = "the photo could not be classified; the server's log says why"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "failed", message)
