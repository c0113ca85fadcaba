"""What a run is to write, and what must be equal for it to be continued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides the rows of a run."""

    classes: Sequence[str]
    """The class names in index order."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """JSON values by name: what must be equal for a run to be continued."""
    continuable: bool = True
    """False where a source can be read only once."""
    keeps_parts: bool = False
    """Whether the finished parts stay where they are: they are a share of ``shared.py``'s."""


def fingerprint(identity: Mapping[str, Any]) -> str:
    """The sha256 of an identity's JSON, in hex."""
    # Without the table that is updated, which is another one when the run is done.
    rest = {key: value for key, value in identity.items() if key != "table"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The differences between two identities, in words."""
    for key in {**then, **now}:
        if then.get(key) != now.get(key):
            yield f"{key} (then {_short(then.get(key))}, now {_short(now.get(key))})"


def _short(value: object, limit: int = 60) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
