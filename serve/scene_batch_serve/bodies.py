"""What a request holds: a form with photos, a photo by itself, or JSON."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from typing import Any

from scene_batch_serve.multipart import PHOTO, Form, FormReader
from scene_batch_serve.problems import Problem, malformed, unsuitable

_RAW = ("image/", "application/octet-stream", "binary/octet-stream")
_FORM, _JSON = "multipart/form-data", "application/json"
_LONGEST_URL = 8192
_MOST_MARKS = 1000
"""Commas, colons and brackets of a JSON body; a photo in base64 has none. A body of nothing else
would keep the server busy for seconds, and take thirty times its size."""


@dataclass(slots=True)
class Content:
    """What a request asks to classify."""

    photos: list[bytes] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    """Other fields of a form."""
    is_list: bool = False
    """Whether the answer is a list."""

    @property
    def count(self) -> int:
        """How many photos these are."""
        return len(self.photos) + len(self.urls)


class ContentReader:
    """Reads what a request holds from pieces of it.

    Raises:
        Problem: It holds nothing that can be classified; from any method.
    """

    def __init__(self, content_type: str, most_photos: int) -> None:
        message = Message()
        message["Content-Type"] = content_type or "application/octet-stream"
        self._kind = message.get_content_type() if _is_known(content_type) else "unknown"
        self._form: FormReader | None = None
        self._pieces: list[bytes] = []
        if self._kind == _FORM:
            boundary = message.get_param("boundary")
            if not isinstance(boundary, str) or not boundary or not boundary.isascii():
                raise malformed("a multipart form without a boundary")
            self._form = FormReader(boundary.encode(), most_photos)
        elif self._kind == "unknown":
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unknown_content_type",
                f"send multipart/form-data with a field {PHOTO!r}, or a photo with Content-Type:"
                " image/jpeg or application/octet-stream, or application/json",
            )

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self._form is None:
            self._pieces.append(data)
        else:
            self._form.feed(data)

    def drop(self) -> None:
        """Let go of what has come; an error would keep it."""
        self._pieces, self._form = [], None

    def close(self) -> Content:
        """What it holds."""
        if self._form is not None:
            return _of_form(self._form.close())
        data = b"".join(self._pieces)
        self._pieces.clear()
        return _of_json(data) if self._kind == _JSON else Content([data])


def read_content(content_type: str, data: bytes, most_photos: int) -> Content:
    """What a request holds that is here already; raises like ``ContentReader``."""
    reader = ContentReader(content_type, most_photos)
    reader.feed(data)
    return reader.close()


def of_values(values: Any) -> Content:  # noqa: ANN401 - whatever somebody sent
    """What a JSON object asks to classify: ``{"image": base64}`` or ``{"url": ...}``.

    Raises:
        Problem: Neither.
    """
    if isinstance(values, dict) and isinstance(image := values.get("image"), str):
        try:
            return Content([base64.b64decode(_without_head(image), validate=True)])
        except (binascii.Error, ValueError):
            raise malformed("image is no base64") from None
    if isinstance(values, dict) and isinstance(url := values.get("url"), str):
        if not url or len(url) > _LONGEST_URL:
            raise malformed(f"url is empty, or longer than {_LONGEST_URL} letters")
        return Content(urls=[url])
    raise unsuitable("no_photo", 'say {"image": base64 of a photo} or {"url": where it is}')


def _without_head(image: str) -> str:
    """The base64 of a data URL, as a page makes it."""
    return image.partition(";base64,")[2] if image.startswith("data:") else image


def _is_known(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return not kind or kind in (_FORM, _JSON) or kind.startswith(_RAW)


def _of_form(form: Form) -> Content:
    if not form.photos:
        raise unsuitable("no_file", f"the form has no field {PHOTO!r} with a photo")
    return Content(form.photos, fields=form.fields, is_list=len(form.photos) > 1)


def _of_json(data: bytes) -> Content:
    if sum(map(data.count, (b",", b":", b"[", b"{"))) > _MOST_MARKS:
        raise malformed("the body is JSON of more than a photo")
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        raise malformed("the body is no JSON") from None
    return of_values(values)
