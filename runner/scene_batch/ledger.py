"""What is already done: an immutable ``job.json`` and the parts of the table, in ``PATH.parts/``.

Each part is a closed, synced Parquet file that says in its metadata where it begins and ends and
what the run counted until then. So continuing reads one small file, whatever was done.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scene_batch.errors import LedgerError, OutputBusyError
from scene_batch.record import Tally
from scene_batch.records import ImageRef, Place

_PART_KEY = "scene_batch.part"
_FINISHED = "finished.json"
_DATA_SET_RECORD = "_run.json"


class Ledger:
    """The folder of one output's unfinished run, held against other processes while it is open.

    Raises:
        OutputBusyError: Another process holds it.
        LedgerError: What lies there cannot be read.
    """

    def __init__(self, out: str) -> None:
        self.folder = Path(f"{out}.parts")
        self._lock = _hold(self.folder)
        self.parts = sorted(self.folder.glob("part-*.parquet"))
        for stray in self.folder.glob("*.partial"):
            stray.unlink()

    @property
    def whole(self) -> Path:
        """The finished table, before it gets its name."""
        return self.folder / "whole"

    @property
    def job(self) -> dict[str, Any] | None:
        """What the unfinished run is; None where nothing has begun."""
        return self._read("job.json")

    @property
    def finished(self) -> dict[str, Any] | None:
        """The record of a run that is done but for the last steps; else None."""
        return self._read(_FINISHED) or self._read(_DATA_SET_RECORD)

    @property
    def finished_text(self) -> str:
        """The same as it was written."""
        name = _FINISHED if (self.folder / _FINISHED).exists() else _DATA_SET_RECORD
        return (self.folder / name).read_text(encoding="utf-8")

    def leave_only_parts(self) -> None:
        """Make the folder the data set that it becomes: its parts and ``_run.json``."""
        if (self.folder / _FINISHED).exists():
            (self.folder / _FINISHED).rename(self.folder / _DATA_SET_RECORD)
        for name in ("job.json", "lock"):
            (self.folder / name).unlink(missing_ok=True)

    def begin(self, job: Mapping[str, Any]) -> None:
        """Write down what the run is."""
        write_whole(self.folder / "job.json", json.dumps(job, indent=2))

    def finish(self, record: str) -> None:
        """Write down that the table is whole."""
        write_whole(self.folder / _FINISHED, record)

    def restart(self) -> None:
        """Throw away what is unfinished."""
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()
        self.parts = []

    def last(self) -> tuple[ImageRef, Tally] | None:
        """The last photo that is saved, and what was counted until then."""
        if not self.parts:
            return None
        metadata = part_metadata(self.parts[-1])
        return _ref_from_json(metadata["end"]), Tally.from_json(metadata["tally"])

    def next_part(self) -> Path:
        """Where the next part is written before it is added."""
        return self.folder / "part.partial"

    def add_part(self) -> None:
        """Save the part that was written: from here on it is done.

        Raises:
            OSError: The disk does not take it.
        """
        path = self.folder / f"part-{len(self.parts):06}.parquet"
        sync(self.next_part())
        self.next_part().rename(path)
        sync(self.folder)
        self.parts.append(path)

    def remove(self) -> None:
        """Take the folder away: nothing is left to do."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let other processes have it."""
        os.close(self._lock)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.folder / name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise LedgerError(
                f"{str(self.folder / name)!r} cannot be read ({error}); throw the unfinished run"
                " away with --restart"
            ) from None


def part_json(begin: ImageRef, end: ImageRef, tally: Tally) -> dict[str, str]:
    """A part's metadata: where it begins and ends, and what was counted until its end."""
    value = {"begin": _ref_to_json(begin), "end": _ref_to_json(end), "tally": tally.to_json()}
    return {_PART_KEY: json.dumps(value)}


def part_metadata(part: Path) -> dict[str, Any]:
    """What ``part_json`` wrote.

    Raises:
        LedgerError: It is damaged.
    """
    try:
        return dict(json.loads(pq.read_metadata(part).metadata[_PART_KEY.encode()]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{str(part)!r} is damaged ({error}); throw the unfinished run away with --restart"
        ) from None


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What is not the same in two jobs, in words."""
    for key in {**then, **now}:
        if then.get(key) != now.get(key):
            yield f"{key} (then {_short(then.get(key))}, now {_short(now.get(key))})"


def _short(value: object, limit: int = 60) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _ref_to_json(ref: ImageRef) -> dict[str, Any]:
    # Bytes that are not UTF-8 are lone surrogates here, which JSON can escape and Parquet cannot.
    place = ref.place
    return {
        "path": ref.path,
        "source": place.source,
        "line": place.line,
        "hidden": place.hidden,
        "other": place.other,
    }


def _ref_from_json(value: Mapping[str, Any]) -> ImageRef:
    place = {key: value[key] for key in ("source", "line", "hidden", "other")}
    return ImageRef(value["path"], place=Place(**place))


def _hold(folder: Path) -> int:
    """Make the folder and lock it; the lock dies with the process, whatever ends that."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:  # its owner has just finished and taken it away
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == (folder / "lock").stat().st_ino:
                return lock
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(lock)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise OutputBusyError(
                f"another process is writing {str(folder)[: -len('.parts')]!r};"
                " wait for it or name another output"
            ) from None
        os.close(lock)


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is there whole or not at all."""
    partial = Path(f"{path}.partial")
    partial.write_text(text, encoding="utf-8")
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make what is written survive a power loss; for a folder, its names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
