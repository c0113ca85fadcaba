"""Logs: JSON lines on standard error, with request IDs and without contents."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
import traceback
from datetime import UTC, datetime

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST = 200


def log(event: str, **values: object) -> None:
    """Write a line."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": now, "event": event, **values})
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # whoever read it has gone: photos are answered all the same
        return


class LibraryLines(logging.Handler):
    """What libraries warn of, as such lines; the same line once a second at most."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last: tuple[str, float] = ("", 0.0)

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        text, now = short(record.getMessage()), time.monotonic()
        if text == self._last[0] and now - self._last[1] < 1:
            return
        self._last = text, now
        log("library", name=record.name, level=record.levelname.lower(), message=text)


def take_over_logging() -> None:
    """Let nothing reach standard error but such lines, and no client's bytes."""
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    root = logging.getLogger()
    if not any(isinstance(handler, LibraryLines) for handler in root.handlers):
        root.addHandler(LibraryLines())


def log_failure(event: str, error: BaseException, **values: object) -> None:
    """Write a line about what should not have happened."""
    where = [
        f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    log(event, error=f"{type(error).__name__}: {error}"[:_LONGEST], where=where[-8:], **values)


def request_id(given: str | None) -> str:
    """The ID that a client gave, if it is one, or a new one."""
    return given if given is not None and _SANE.fullmatch(given) else secrets.token_hex(8)


def short(text: str) -> str:
    """What a client said, cut."""
    return text[:_LONGEST]
