"""Class names out of what other tools leave: files, JSON objects, lists."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scene_batch.errors import UsageError
from scene_batch.model.card import is_class_name
from scene_batch_export.adopted.known import followed

_NUMBERED = re.compile(r"(\d+)[\s:,]\s*(.+)")
_MOST_BYTES = 16 << 20


class Labels(NamedTuple):
    """Class names in index order, and what the user should know of how they were read."""

    names: tuple[str, ...]
    note: str = ""


def read_labels(path: Path) -> Labels:
    """The class names in a file, in index order: a name a line, or JSON.

    Lines may be numbered from 0 (``0 cat``). JSON is a list, an object from index to name (or to
    ``[id, name]``), or one from name to index, as Keras' ``class_indices``.

    Raises:
        UsageError: It cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{str(path)!r} is no list of class names: too large")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    with followed(repr(str(path))):
        text = data.decode("utf-8-sig")
        if path.suffix.lower() == ".json":
            return Labels(of_json(json.loads(text), str(path)))
        return of_lines(text.splitlines())


def of_lines(lines: Sequence[str]) -> Labels:
    """The class names of lines; a number before each is dropped where it counts from 0.

    Raises:
        ValueError: All indices are there, but in another order than the lines.
    """
    names = [line.strip() for line in lines if line.strip()]
    numbered = [found for found in map(_NUMBERED.fullmatch, names) if found]
    indices = [int(found[1]) for found in numbered]
    if not names or sorted(indices) != list(range(len(names))):
        return Labels(tuple(names))
    if indices != sorted(indices):
        raise ValueError("its lines are numbered, but not in order from 0: sort them by number")
    stripped = tuple(found[2].strip() for found in numbered)
    return Labels(stripped, "without the numbers before them; a JSON list keeps such")


def of_json(value: object, source: str) -> tuple[str, ...]:
    """The class names of a JSON value, from ``source``; UsageError where it holds none."""
    if isinstance(value, Mapping) and all(isinstance(each, int) for each in value.values()):
        value = {index: name for name, index in value.items()}
    if isinstance(value, Mapping):
        value = _in_order(value, source)
    if isinstance(value, list) and value and all(isinstance(each, str | list) for each in value):
        return tuple(each if isinstance(each, str) else str(each[-1]) for each in value)
    raise UsageError(f"{source}: no class names: a list, or an object from index to name")


def _in_order(value: Mapping[object, object], source: str) -> list[object]:
    try:
        by_index = {int(str(key)): name for key, name in value.items()}
    except ValueError:
        raise UsageError(f"{source}: its keys are no class indices") from None
    if sorted(by_index) != list(range(len(value))):
        raise UsageError(f"{source}: its class indices do not count from 0 without a gap")
    return [by_index[index] for index in range(len(by_index))]


def made_unique(names: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Class names that are each other's equals no more, and what was changed, in words.

    A name that occurs again gets its class index behind it; one that cannot be written, too.
    """
    found, changed, seen = [], [], set(names)
    used: set[str] = set()
    for index, name in enumerate(names):
        new = name if is_class_name(name) else f"class {index}"
        while new in used or (new != name and new in seen):
            new = f"{new} ({index})"
        if new != name:
            changed.append(f"class {index}, {name!r}, is called {new!r}")
        used.add(new)
        found.append(new)
    return tuple(found), changed
