"""Which folder a photo goes to, and which names file systems take."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from scene_batch.object_store.address import is_url
from scene_batch.records import Prediction, Row

UNSURE, UNREADABLE = "unsure", "unreadable"
_MOST_BYTES, _MOST_ENDING = 180, 20
"""Of a name and its ending; most file systems take 255 together, and some are added."""
_LONGEST = 255 - len(".xmp")
"""Of a whole name in bytes, with a sidecar's ending behind it."""
_REFUSED = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
"""By Windows and by the file systems of memory cards."""
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class Folders:
    """The folder of each row.

    Args:
        classes: The model's.
        min_probability: Rows below it go to ``unsure``.
    """

    def __init__(self, classes: Sequence[str], min_probability: float) -> None:
        self._min_probability = min_probability
        self.by_class: dict[str, str] = {}
        taken = {UNSURE, UNREADABLE}
        # First those that keep their names, so that no other one takes them.
        numbered_classes = sorted(
            enumerate(classes), key=lambda each: _cut_name(each[1]) != each[1]
        )
        for index, name in numbered_classes:
            folder = _cut_name(name)
            if folder.casefold() in taken:
                folder = f"{folder} ({index})"
            while folder.casefold() in taken:
                folder += "_"
            taken.add(folder.casefold())
            self.by_class[name] = folder

    def of(self, row: Row) -> str:
        """Where a photo goes."""
        if not isinstance(row, Prediction):
            return UNREADABLE
        if not self.is_sure(row):
            return UNSURE
        return self.by_class[row.class_name]

    def is_sure(self, row: Prediction) -> bool:
        """Whether its class is probable enough."""
        return row.probability >= self._min_probability

    def renamed(self) -> dict[str, str]:
        """Classes whose folder has another name."""
        return {name: folder for name, folder in self.by_class.items() if name != folder}


def file_name(path: str) -> str:
    """The name of a photo's file in its folder: its own, or that of its key or URL."""
    if not is_url(path):
        return re.split(r"[/\\]" if "\\" in _separators() else "/", path)[-1]
    address = path.partition("?")[0] if path.startswith("http") else path
    return harmless_name(address.rstrip("/").rpartition("/")[2])


def _separators() -> str:
    return os.sep + (os.altsep or "")


def harmless_name(text: str) -> str:
    """A name that every file system takes; most texts stay as they are."""
    stem, dot, ending = text.rpartition(".")
    if not stem or len(ending) > _MOST_ENDING:
        return _cut_name(text)
    return _cut_name(f"{_cut(stem, _MOST_BYTES)}{dot}{ending}")


def _cut_name(text: str) -> str:
    """A name without an ending, such as a folder's, that every file system takes."""
    name = _cut(_REFUSED.sub("_", text), _MOST_BYTES + _MOST_ENDING).rstrip(". ") or "_"
    return f"_{name}" if name.startswith(".") or _DEVICES.fullmatch(name) else name


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8", "surrogateescape")[:most].decode("utf-8", "ignore")


def numbered(name: str, number: int) -> str:
    """``a.jpg`` as ``a (2).jpg``; a long name is cut."""
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    more = f" ({number}){dot}{ending}"
    room = _LONGEST - len(os.fsencode(more))
    return (stem if len(os.fsencode(stem)) <= room else _cut(stem, room)) + more
