"""What is already done: an immutable ``job.json`` and the parts of the table, in ``PATH.parts/``.

Each part is a closed Parquet file that says in its metadata where it begins and ends, of which job
it is and what the run counted until then. So continuing reads one small file, whatever was done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.errors import LedgerError, OutputBusyError
from scene_batch.record import Tally
from scene_batch.records import ImageRef, Place
from scene_batch.storage import Storage
from scene_batch.storage.names import (
    FINISHED,
    JOB,
    LOCK,
    PARTIAL,
    RECORD,
    WHOLE,
    is_part,
    part_name,
)

_PART_KEY = "scene_batch.part"


class Ledger:
    """The unfinished run of one output, held against other processes while it is open.

    Raises:
        OutputBusyError: Another process holds it.
        LedgerError: What lies there is not a run's, or cannot be read.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._rows: dict[str, int] = {}
        storage.hold()
        try:
            names = storage.names()
            strange = [name for name in names if not _is_ours(name)]
            if strange:
                raise LedgerError(
                    f"{storage.folder!r} holds {strange[0]!r}, which is not a run's; rename the"
                    " folder or name another output"
                )
            self.parts = [name for name in names if is_part(name)]
            if self.parts and JOB not in names and FINISHED not in names and RECORD not in names:
                self.restart()  # a restart or a removal that was broken off
        except BaseException:
            self.close()
            raise

    @property
    def job(self) -> dict[str, Any] | None:
        """What the unfinished run is; None where nothing has begun."""
        return self._read(JOB)

    @property
    def finished(self) -> dict[str, Any] | None:
        """The record of a run that is done but for the last steps; else None."""
        return self._read(FINISHED) or self._read(RECORD)

    @property
    def finished_text(self) -> str:
        """The same as it was written."""
        return self._storage.read(FINISHED) or self._storage.read(RECORD) or ""

    @property
    def rows(self) -> int:
        """Rows in the parts, by their own count."""
        for part in self.parts:
            if part not in self._rows:
                self._rows[part] = pq.read_metadata(self._storage.parquet(part)).num_rows
        return sum(self._rows[part] for part in self.parts)

    def begin(self, job: Mapping[str, Any]) -> None:
        """Write down what the run is.

        Raises:
            OutputBusyError: Another process was quicker.
        """
        scratch = self._storage.scratch / f"job{PARTIAL}"
        scratch.write_text(json.dumps(job, indent=2), encoding="utf-8")
        self._storage.create(JOB, scratch)

    def finish(self, record: str) -> None:
        """Write down that the table is whole."""
        self._storage.write(FINISHED, record)

    def last(self, job: Mapping[str, Any]) -> tuple[ImageRef | None, Tally] | None:
        """The last photo of a job that is saved, or None, and what was counted until then.

        Raises:
            LedgerError: The part is damaged, or another job's.
        """
        if not self.parts:
            return None
        part = self.parts[-1]
        metadata = part_metadata(self._storage.parquet(part), part)
        if metadata["job"] != fingerprint(job):
            raise LedgerError(
                f"{self._storage.folder!r} holds parts of two jobs; throw them away with --restart"
            )
        return ref_from_json(metadata["end"]), Tally.from_json(metadata["tally"])

    def next_part(self) -> Path:
        """Where the next part is written before it is added."""
        return self._storage.scratch / f"part{PARTIAL}"

    def add_part(self) -> None:
        """Save the part that was written: from here on it is done.

        Raises:
            OutputBusyError: Another process has added one of this number.
            OSError: The disk does not take it.
        """
        name = part_name(len(self.parts))
        self._rows[name] = pq.read_metadata(self.next_part()).num_rows
        self._storage.create(name, self.next_part())
        self.parts.append(name)

    def check_alone(self, job: Mapping[str, Any]) -> None:
        """Make sure at the end that no other process has finished or begun there.

        Raises:
            OutputBusyError: One has.
        """
        if self.job != job:
            raise OutputBusyError(
                f"another process has written {self._storage.name!r} meanwhile; this run's rows"
                " are not in it"
            )

    def restart(self) -> None:
        """Throw away what is there; broken off, what is left is continued or thrown away."""
        self._storage.delete([FINISHED, RECORD, JOB, WHOLE, *self.parts])
        self.parts = []

    def remove(self) -> None:
        """Take everything away; broken off, it still says that its run is finished."""
        self._storage.delete([JOB, *self.parts, WHOLE, RECORD, FINISHED])
        self.parts = []
        self._storage.discard()

    def close(self) -> None:
        """Let other processes have it."""
        self._storage.release()

    def _read(self, name: str) -> dict[str, Any] | None:
        text = self._storage.read(name)
        try:
            return None if text is None else dict(json.loads(text))
        except ValueError as error:
            raise LedgerError(
                f"{name!r} in {self._storage.folder!r} cannot be read ({error}); remove the folder"
                " to begin anew"
            ) from None


def _is_ours(name: str) -> bool:
    known = (LOCK, JOB, WHOLE, FINISHED, RECORD)
    return name in known or is_part(name) or name.endswith(PARTIAL)


def part_json(
    job: Mapping[str, Any], begin: ImageRef | None, end: ImageRef | None, tally: Tally
) -> dict[str, str]:
    """A part's metadata: of which job it is, where it begins and ends, what was counted by then."""
    value = {
        "job": fingerprint(job),
        "begin": begin and _ref_to_json(begin),
        "end": end and _ref_to_json(end),
        "tally": tally.to_json(),
    }
    return {_PART_KEY: json.dumps(value)}


def part_metadata(file: Path | pa.BufferReader, name: str) -> dict[str, Any]:
    """What ``part_json`` wrote.

    Raises:
        LedgerError: It is damaged.
    """
    try:
        return dict(json.loads(pq.read_metadata(file).metadata[_PART_KEY.encode()]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{name!r} beside the output is damaged ({error}); throw the unfinished run away with"
            " --restart"
        ) from None


def fingerprint(job: Mapping[str, Any]) -> str:
    """Tells a job from any other: the sha256 of its JSON, in hex."""
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()


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


def ref_from_json(value: Mapping[str, Any] | None) -> ImageRef | None:
    """A photo of a part's metadata; None where the part is empty."""
    if value is None:
        return None
    place = {key: number for key, number in value.items() if key != "path"}
    return ImageRef(value["path"], place=Place(**place))
