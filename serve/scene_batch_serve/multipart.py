"""The parts of a multipart form, taken as they come, within bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from scene_batch_serve.problems import malformed, too_many, unsuitable

MOST_FIELDS = 32
"""Parts beside photos that a form may have."""
_MOST_HEADERS, _LONGEST_HEADER = 8, 4096
_LONGEST_FIELD = 4096
"""Bytes of a part that is no photo."""
PHOTO = "file"
"""The field that holds a photo."""


@dataclass(slots=True)
class Form:
    """What a form holds that is of use."""

    photos: list[bytes] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    """Other fields by name; of several of a name, the last."""


class FormReader:
    """Reads a form from pieces of it.

    Args:
        boundary: What lies between its parts.
        most_photos: More are refused.

    Raises:
        Problem: It is no form, or beyond the bounds; from any method.
    """

    def __init__(self, boundary: bytes, most_photos: int) -> None:
        self._most = most_photos
        self._form = Form()
        self._done, self._parts = False, 0
        self._name, self._data = "", bytearray()
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._more,
                    "on_part_end": self._end,
                    "on_end": self._end_form,
                },
                max_header_count=_MOST_HEADERS,
                max_header_size=_LONGEST_HEADER,
            )
        except (MultipartParseError, ValueError) as error:
            raise malformed(f"no multipart form: {error}") from None

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self._done:
            return  # what follows the closing boundary says nothing
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise malformed(f"no multipart form: {error}") from None

    def close(self) -> Form:
        """What the form holds."""
        if not self._done:
            raise malformed("the multipart form ends before its closing boundary")
        return self._form

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > self._most + MOST_FIELDS:
            raise malformed(f"a form of more than {self._most + MOST_FIELDS} parts")
        self._name, self._data = "", bytearray()

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _end_header(self) -> None:
        if bytes(self._header[0]).lower() == b"content-disposition":
            message = Message()
            message["Content-Disposition"] = self._header[1].decode("utf-8", "replace")
            name = message.get_param("name", header="content-disposition")
            self._name = name if isinstance(name, str) else ""

    def _end_headers(self) -> None:
        if not self._name:
            raise malformed("a part of the form has no name")
        if self._name == PHOTO and len(self._form.photos) == self._most:
            raise too_many(self._most)

    def _more(self, data: bytes, start: int, end: int) -> None:
        if self._name != PHOTO and len(self._data) + end - start > _LONGEST_FIELD:
            raise unsuitable(
                "no_file",
                f"a field that is not named {PHOTO!r} has over {_LONGEST_FIELD} bytes: photos"
                f" belong into the field {PHOTO!r}",
            )
        self._data += memoryview(data)[start:end]

    def _end(self) -> None:
        if self._name == PHOTO:
            self._form.photos.append(bytes(self._data))
        else:
            self._form.fields[self._name] = self._data.decode("utf-8", "replace")
        self._data = bytearray()

    def _end_form(self) -> None:
        self._done = True
