"""What is already done: an immutable ``job.json`` and the parts of the table, in ``PATH.parts/``.

Each part is a closed Parquet file that says in its metadata where it begins and ends, of which run
it is and what the run counted until then. So continuing reads one small file, whatever was done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.errors import LedgerError, OutputBusyError
from scene_batch.outputs.storage import Storage
from scene_batch.records import ImageRef, Place
from scene_batch.tables.names import (
    FINISHED,
    JOB,
    LOCK,
    PARTIAL,
    PARTIALS,
    RECORD,
    WHOLE,
    is_part,
    part_name,
)
from scene_batch.tables.run_record import Tally

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
        self.run: str | None = None
        """The run that this process began or took over; None before that."""
        self._begun = False
        storage.hold()
        try:
            names = storage.names()
            strange = [name for name in names if not _is_ours(name)]
            if strange:
                storage.delete([LOCK])
                raise LedgerError(
                    f"{storage.folder!r} holds {strange[0]!r}, which is not a run's; rename the"
                    " folder or name another output"
                )
            storage.delete([name for name in names if name in PARTIALS])
            self.parts = [name for name in names if is_part(name)]
            if self.parts and JOB not in names and FINISHED not in names and RECORD not in names:
                self.restart()  # a restart or a removal that was broken off
        except BaseException:
            self.close()
            raise

    @property
    def job(self) -> dict[str, Any] | None:
        """What the unfinished run is to do; None where nothing has begun."""
        begun = self._read(JOB)
        return None if begun is None else begun["job"]

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
        """Write down what the run is to do, with a name of its own.

        Raises:
            OutputBusyError: Another process was quicker.
        """
        run = uuid4().hex
        scratch = self._storage.scratch / f"job{PARTIAL}"
        scratch.write_text(json.dumps({"run": run, "job": job}, indent=2), encoding="utf-8")
        self._storage.create(JOB, scratch)
        self.run, self._begun = run, True

    def take_over(self) -> tuple[ImageRef | None, Tally] | None:
        """Go on with the run that was begun.

        Returns:
            The last photo that is saved, if any, and what was counted until then; None where
            nothing is saved.

        Raises:
            LedgerError: The last part is damaged, or another run's.
        """
        begun = self._read(JOB)
        assert begun is not None  # noqa: S101 - the caller has read it
        self.run = begun["run"]
        if not self.parts:
            return None
        part = self.parts[-1]
        metadata = part_metadata(self._storage.parquet(part), part)
        if metadata["run"] != self.run:
            raise LedgerError(
                f"{self._storage.folder!r} holds parts of two runs; throw them away with --restart"
            )
        return ref_from_json(metadata["end"]), Tally.from_json(metadata["tally"])

    @property
    def is_ours(self) -> bool:
        """Whether no other process has begun or finished there."""
        begun = self._read(JOB)
        return self.run is not None and begun is not None and begun["run"] == self.run

    def finish(self, record: str) -> None:
        """Write down that the table is whole."""
        self._storage.write(FINISHED, record)

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

    def check_alone(self) -> None:
        """Make sure at the end that no other process has begun or finished there.

        Raises:
            OutputBusyError: One has.
        """
        if not self.is_ours:
            raise OutputBusyError(
                f"another process has written {self._storage.name!r} meanwhile; this run's rows"
                " are not in it"
            )

    def restart(self) -> None:
        """Throw away what is there; broken off, what is left is continued or thrown away."""
        if self.finished is not None:
            self._storage.take_back()
        self._storage.delete([FINISHED, RECORD, JOB, WHOLE, *self.parts])
        self.parts = []

    def remove(self) -> None:
        """Take everything away; broken off, it still says that its run is finished."""
        self._storage.delete([JOB, *self.parts, WHOLE, RECORD])
        self.parts = []
        self._storage.discard()

    def remove_if_ours(self) -> None:
        """The same, but not what another process has there, or may have taken over."""
        if self._storage.is_exclusive:
            self.remove()
        elif self._begun and self.is_ours:
            there = {name for name in self._storage.names() if is_part(name)}
            if there <= set(self.parts):
                self.remove()

    def close(self) -> None:
        """Let other processes have it."""
        self._storage.release()

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            text = self._storage.read(name)
            if text is None:
                return None
            value = json.loads(text)
            if isinstance(value, dict) and _KEYS[name] <= value.keys():
                return value
            reason = "its keys are not a run's"
        except ValueError as error:
            reason = str(error)
        raise LedgerError(
            f"{name!r} in {self._storage.folder!r} cannot be read ({reason}); remove the folder to"
            " begin anew"
        )


_KEYS = {JOB: {"run", "job"}, FINISHED: {"photos", "job"}, RECORD: {"photos", "job"}}


def _is_ours(name: str) -> bool:
    known = (LOCK, JOB, WHOLE, FINISHED, RECORD, *PARTIALS)
    return name in known or is_part(name)


def part_json(
    run: str | None, begin: ImageRef | None, end: ImageRef | None, tally: Tally
) -> dict[str, str]:
    """A part's metadata: of which run it is, where it begins and ends, what was counted by then."""
    value = {
        "run": run,
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
    # Not the table that is brought up to date: that is another one when the run is done.
    job = {key: value for key, value in job.items() if key != "table"}
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
