"""What is already done: an immutable ``job.json`` and the parts of the table, in ``PATH.parts/``.

Each part is a closed, synced Parquet file that says in its metadata where it begins and ends and
what the run counted until then. So continuing reads one small file, whatever was done.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scene_batch.errors import LedgerError, OutputBusyError
from scene_batch.record import Tally
from scene_batch.records import ImageRef, Place

_PART_KEY = "scene_batch.part"
_LOCK = "_lock"
_JOB = "job.json"
_WHOLE = "whole"
_FINISHED = "finished.json"
_DATA_SET_RECORD = "_run.json"


class Ledger:
    """The folder of one output's unfinished run, held against other processes while it is open.

    Raises:
        OutputBusyError: Another process holds it.
        LedgerError: What lies there is not a run's, or cannot be read.
    """

    def __init__(self, out: str) -> None:
        self.folder = Path(f"{out}.parts")
        self._lock = _hold(self.folder)
        try:
            strange = sorted(path.name for path in self.folder.iterdir() if not _is_ours(path))
            if strange:
                raise LedgerError(
                    f"{str(self.folder)!r} holds {strange[0]!r}, which is not a run's; rename the"
                    " folder or name another output"
                )
            for stray in self.folder.glob("*.partial"):
                stray.unlink()
            self.parts = sorted(self.folder.glob("part-*.parquet"))
            if self.parts and not (self.folder / _JOB).exists():
                self.restart()  # a restart or a removal that was broken off
        except BaseException:
            self.close()
            raise

    @property
    def whole(self) -> Path:
        """The finished table, before it gets its name."""
        return self.folder / _WHOLE

    @property
    def job(self) -> dict[str, Any] | None:
        """What the unfinished run is; None where nothing has begun."""
        return self._read(_JOB)

    @property
    def finished(self) -> dict[str, Any] | None:
        """The record of a run that is done but for the last steps; else None."""
        return self._read(_FINISHED) or self._read(_DATA_SET_RECORD)

    @property
    def finished_text(self) -> str:
        """The same as it was written."""
        name = _FINISHED if (self.folder / _FINISHED).exists() else _DATA_SET_RECORD
        return (self.folder / name).read_text(encoding="utf-8")

    def begin(self, job: Mapping[str, Any]) -> None:
        """Write down what the run is."""
        write_whole(self.folder / _JOB, json.dumps(job, indent=2))

    def finish(self, record: str) -> None:
        """Write down that the table is whole."""
        write_whole(self.folder / _FINISHED, record)

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

    def restart(self) -> None:
        """Throw away what is there; broken off, what is left is still no other run's."""
        self._unlink_run()
        (self.folder / _FINISHED).unlink(missing_ok=True)

    def _unlink_run(self) -> None:
        for part in reversed(self.parts):  # so that those left are whole from the first on
            part.unlink(missing_ok=True)
        self.parts = []
        for name in (_WHOLE, _DATA_SET_RECORD, _JOB):
            (self.folder / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Take the folder away; broken off, it still says that its run is finished."""
        if not self.folder.is_dir():
            return
        self._unlink_run()
        for name in (*(path.name for path in self.folder.glob("*.partial")), _LOCK, _FINISHED):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # another process was quick to begin its own run there
            self.folder.rmdir()

    def become(self, data_set: Path) -> None:
        """Make the folder the data set: its parts and ``_run.json``."""
        if (self.folder / _FINISHED).exists():
            (self.folder / _FINISHED).rename(self.folder / _DATA_SET_RECORD)
        (self.folder / _JOB).unlink(missing_ok=True)
        self.folder.rename(data_set)
        (data_set / _LOCK).unlink()  # readers of data sets pass over names that begin with _

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
                f"{str(self.folder / name)!r} cannot be read ({error}); remove the folder to begin"
                " anew"
            ) from None


def is_data_set(folder: Path) -> bool:
    """Whether a run wrote this directory."""
    return (folder / _DATA_SET_RECORD).is_file()


def _is_ours(path: Path) -> bool:
    known = (_LOCK, _JOB, _WHOLE, _FINISHED, _DATA_SET_RECORD)
    return path.name in known or path.match("part-*.parquet") or path.suffix == ".partial"


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
    return {"path": ref.path, **asdict(ref.place)}


def _ref_from_json(value: Mapping[str, Any]) -> ImageRef:
    place = {key: number for key, number in value.items() if key != "path"}
    return ImageRef(value["path"], place=Place(**place))


def _hold(folder: Path) -> int:
    """Make the folder and lock it; the lock dies with the process, whatever ends that."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:  # its owner has just finished and taken it away
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == (folder / _LOCK).stat().st_ino:
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
