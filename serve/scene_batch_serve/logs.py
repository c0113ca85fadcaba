"""Logs: JSON lines on standard error, with request IDs and without contents."""

from __future__ import annotations

import json
import re
import secrets
import sys
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
