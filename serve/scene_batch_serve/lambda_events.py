"""AWS Lambda's events: HTTP requests by gateways and function URLs, and objects that came to S3."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import unquote_plus

from scene_batch_serve.problems import Problem, malformed

_NEW = "ObjectCreated"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request that a gateway, a balancer or a function URL hands on."""

    method: str
    content_type: str
    body: bytes
    top_k: str | None

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self | None:
        """Read an event of version 1 or 2; None where it is none of HTTP.

        Raises:
            Problem: Its body is no base64, though it says so.
        """
        context = event.get("requestContext")
        inner = context.get("http") if isinstance(context, Mapping) else None
        method = inner.get("method") if isinstance(inner, Mapping) else event.get("httpMethod")
        if not isinstance(method, str):
            return None
        return cls(method.upper(), _header(event, "content-type"), _body(event), _top_k(event))


def http_answer(
    status: int, values: object, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What a gateway makes an answer of."""
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": json.dumps(values, ensure_ascii=False),
        "isBase64Encoded": False,
    }


def http_problem(problem: Problem) -> dict[str, Any]:
    """The answer of a request that gets none."""
    headers = {name: text for name, text in problem.headers.items() if name != "Connection"}
    return http_answer(problem.status, problem.to_json(), headers)


def as_asked(event: Mapping[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """An answer as a balancer takes it that speaks of headers in lists; else as it is."""
    if "multiValueHeaders" not in event or event.get("headers"):
        return answer
    lists = {name: [text] for name, text in answer["headers"].items()}
    return {key: value for key, value in answer.items() if key != "headers"} | {
        "multiValueHeaders": lists
    }


def only_post(method: str) -> None:
    """Raise a Problem unless the request asks for photos to be classified."""
    if method != "POST":
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "send POST", {"Allow": "POST"}
        )


def new_objects(event: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """The bucket and key of each object that an event of S3 says is new; None: it is none of S3."""
    if event.get("Event") == "s3:TestEvent":  # sent once, when a notification is set up
        return []
    records = event.get("Records")
    if not isinstance(records, list) or not all(map(_is_of_s3, records)):
        return None
    return list(_objects(records))


def _is_of_s3(record: object) -> bool:
    return isinstance(record, Mapping) and isinstance(record.get("s3"), Mapping)


def _objects(records: list[Any]) -> Iterator[tuple[str, str]]:
    for record in records:
        if str(record.get("eventName", _NEW)).removeprefix("s3:").startswith(_NEW):
            found = record["s3"]
            yield found["bucket"]["name"], unquote_plus(found["object"]["key"])


def _header(event: Mapping[str, Any], name: str) -> str:
    """A header; gateways of version 1 may give lists only, and spell names as clients do."""
    for key, value in _said(event, "headers", "multiValueHeaders"):
        if key.lower() == name:
            return value
    return ""


def _body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(text).encode("utf-8", "replace")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise malformed("the event's body is no base64") from None


def _top_k(event: Mapping[str, Any]) -> str | None:
    pairs = _said(event, "queryStringParameters", "multiValueQueryStringParameters")
    return next((unquote_plus(value) for key, value in pairs if unquote_plus(key) == "top_k"), None)


def _said(event: Mapping[str, Any], one: str, several: str) -> Iterator[tuple[str, str]]:
    """Headers or a query, which come as values, as lists of values, or as both."""
    values, lists = event.get(one), event.get(several)
    if isinstance(values, Mapping):
        yield from ((str(key), str(value)) for key, value in values.items())
    if isinstance(lists, Mapping):
        yield from ((str(key), str(each[-1])) for key, each in lists.items() if each)
