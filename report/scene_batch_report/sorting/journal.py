"""What was sorted, in a file of the folder itself: to go on after a kill, and to undo.

A line is written before its photo is touched, so that at most the last one may not have happened.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self, TypeAlias

from scene_batch.errors import OutputBusyError, OutputError
from scene_batch.file_lock import lock

JOURNAL = ".scene-batch-sort.jsonl"
"""Hidden, so that ``run`` counts it as ignored."""
_FORMAT = 1
_SYNCED = 512
"""Lines between two times that the system is asked to write them to the disk."""

How: TypeAlias = Literal["link", "copy", "fetch", "move"]
"""A hard link; a copy; a copy from a store; the file itself, moved."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """An XMP sidecar that is written beside a sorted photo."""

    sha256: str
    """Of what is written."""
    before: str | None = None
    """The one that lay beside the original and moves along, as base64; None: there was none, or it
    stays."""
    time_ns: int | None = None
    """Modification time of that one."""
    mode: int | None = None
    """Its permissions."""

    def bytes_before(self) -> bytes | None:
        """The one that moves along."""
        return None if self.before is None else base64.b64decode(self.before)


@dataclass(frozen=True, slots=True)
class Entry:
    """A photo and its new name."""

    row: int
    """Of the table, from 0."""
    source: str
    """An absolute path, or a URL."""
    name: str
    """Below the folder: ``forest/a.jpg``."""
    how: How
    size_bytes: int | None = None
    time_ns: int | None = None
    """Modification time."""
    target: str | None = None
    """What the source says where it is a symbolic link."""
    sidecar: Sidecar | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """Whose journal it is."""

    table: str
    """sha256 of the table's record."""
    options: Mapping[str, Any]
    """Those that decide which photo goes where."""
    made: bool
    """Whether the folder itself was made."""


class NotSortedError(OutputError):
    """Nothing was sorted into a folder."""


class Journal:
    """A folder's journal, which one process at a time may hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / JOURNAL
        try:
            self._file: IO[bytes] = self.path.open("r+b")
        except (FileNotFoundError, NotADirectoryError):
            what = f"was not made by scene-batch sort: it has no {JOURNAL}"
            what = what if folder.is_dir() else "is no folder"
            raise NotSortedError(f"{str(folder)!r} {what}") from None
        if not lock(self._file.fileno()):
            self._file.close()
            raise OutputBusyError(f"{str(folder)!r} is being sorted by another process")
        self.header = self._read_header()
        self.last: Entry | None = None
        """Of which it is not sure that it was carried out."""
        self.made: list[str] = []
        """Folders below it that were made."""
        self.is_being_undone = self._is_settled = False
        """Whether an undoing was begun: what it says may not be there any more."""
        self._rows = bytearray()
        self._written = 0
        for entry in self.entries():
            self._mark(entry.row)
            self.last = entry
        if self._is_settled:
            self.last = None
        self._drop_torn()

    @classmethod
    def begin(cls, folder: Path, header: Header) -> Self:
        """A new journal in a folder, which is made where it is missing: both or none.

        Raises:
            OutputBusyError: Another process has begun one meanwhile.
        """
        beside = folder.with_name(f".{folder.name}.scene-batch-sort")
        if header.made:
            beside.mkdir(exist_ok=True)
        with open((beside if header.made else folder) / JOURNAL, "ab") as file:  # noqa: PTH123 - not replaced
            if not lock(file.fileno()) or (file.tell() and not header.made):
                raise OutputBusyError(
                    f"{str(folder)!r} is being sorted into by another process; try again later"
                )
            file.truncate(0)
            file.write(_line({"scene_batch_sort": _FORMAT, **asdict(header)}))
            file.flush()
            if header.made:
                _give_name(beside, folder)
        return cls(folder)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let others have it."""
        self.close()

    def close(self) -> None:
        """Write what is not yet on the disk, and let others have it."""
        with suppress(OSError, ValueError):
            self._sync()
        self._file.close()

    def settle(self) -> None:
        """Say that the last entry was carried out, so that nobody touches it again."""
        if self.last is not None:
            self._append({"settled": self.last.row})
            self.last = None

    def has(self, row: int) -> bool:
        """Whether a row's photo was sorted."""
        index, bit = divmod(row, 8)
        return index < len(self._rows) and bool(self._rows[index] >> bit & 1)

    def add(self, entry: Entry) -> None:
        """Say what is about to be done."""
        self._append(asdict(entry))
        self._mark(entry.row)
        self.last = entry

    def void(self, entry: Entry) -> None:
        """Say that the last entry was not carried out."""
        self._append({"void": entry.row})
        self._rows[entry.row // 8] &= ~(1 << entry.row % 8)
        self.last = None

    def begin_undoing(self) -> None:
        """Say that what was sorted is taken back from now on."""
        if not self.is_being_undone:
            self._append({"undoing": True})
            self.is_being_undone = True

    def make_folder(self, name: str) -> None:
        """Make a folder for photos, where it is missing."""
        path = self.folder / name
        if path.is_dir():
            return
        if name not in self.made:
            self._append({"folder": name})
            self.made.append(name)
        try:
            path.mkdir()
        except FileExistsError:
            raise OutputError(
                f"{str(path)!r} is a file: name another folder by --to, or take it away"
            ) from None

    def entries(self) -> Iterator[Entry]:
        """What was done, in order; of the last one it is not sure."""
        self.made = []
        pending: Entry | None = None
        for values in self._lines():
            if "undoing" in values:
                self.is_being_undone = True
            elif "settled" in values:
                self._is_settled = True
            elif "folder" in values:
                self.made.append(values["folder"])
            elif "void" in values:
                pending = None
                self._is_settled = True  # what came before it
            else:
                self._is_settled = False
                if pending is not None:
                    yield pending
                sidecar = values.pop("sidecar")
                pending = Entry(**values, sidecar=Sidecar(**sidecar) if sidecar else None)
        if pending is not None:
            yield pending

    def _lines(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as file:
            next(file)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # a kill tore it
                with suppress(ValueError):  # a power cut may leave bytes of nothing
                    values = json.loads(line)
                    yield values

    def _read_header(self) -> Header:
        try:
            line = self._file.readline()
            if not line:
                self._file.close()
                raise NotSortedError(f"nothing was sorted into {str(self.folder)!r} yet")
            values = json.loads(line)
            if values.pop("scene_batch_sort") != _FORMAT:
                raise ValueError
            return Header(**values)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._file.close()
            raise OutputError(
                f"{str(self.path)!r} is damaged, or of another version of scene-batch"
            ) from None

    def _drop_torn(self) -> None:
        """Drop a last line that a kill tore, and go on behind it."""
        end = self._file.seek(0, os.SEEK_END)
        back = min(end, 1 << 20)
        self._file.seek(end - back)
        whole = self._file.read(back).rfind(b"\n") + 1
        self._file.truncate(end - back + whole)
        self._file.seek(0, os.SEEK_END)

    def _append(self, values: Mapping[str, Any]) -> None:
        self._file.write(_line(values))
        self._file.flush()
        self._written += 1
        if self._written % _SYNCED == 0:
            self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _mark(self, row: int) -> None:
        index, bit = divmod(row, 8)
        if index >= len(self._rows):
            self._rows.extend(bytes(index + 1024 - len(self._rows)))
        self._rows[index] |= 1 << bit


def _give_name(beside: Path, folder: Path) -> None:
    """Give a folder its name, unless something else has it now."""
    try:
        beside.rename(folder)
    except OSError as error:
        raise OutputBusyError(f"{str(folder)!r} was made meanwhile; try again") from error


def _line(values: Mapping[str, Any]) -> bytes:
    # ASCII: names that are not UTF-8 are lone surrogates, which JSON can write so alone.
    return json.dumps(values).encode() + b"\n"
