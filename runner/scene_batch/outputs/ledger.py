"""What is already done: an immutable ``job.json`` and the parts of the table, in ``PATH.parts/``.

Each part is a closed Parquet file that says in its metadata where it begins and ends, of which run
it is and what the run counted until then. Each is held against its digest before a run goes on: one
that is damaged or missing is thrown away with those behind it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pyarrow.parquet as pq

from scene_batch.errors import DamagedPartError, LedgerError, OutputBusyError
from scene_batch.outputs.part_metadata import Part, count
from scene_batch.outputs.storage import Storage
from scene_batch.outputs.tally import Tally
from scene_batch.records import ImageRef
from scene_batch.tables.names import (
    FINISHED,
    JOB,
    LOCK,
    PARTIAL,
    PARTIALS,
    PLAN,
    RECORD,
    WHOLE,
    is_part,
    part_name,
)


class Ledger:
    """The unfinished run of one output; while entered, other processes are kept off."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._rows: dict[str, int] = {}
        self.parts: list[str] = []
        """The names of the closed parts, in order."""
        self.run: str | None = None
        """The run that this process began or continues; None before that."""
        self.thrown_away = ""
        """Why parts were thrown away when the run was continued; empty where none was."""
        self._begun = False
        self._seen: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        """Keep other processes off the folder, and look at what is in it.

        Raises:
            OutputBusyError: Another process holds it.
            LedgerError: What lies there is not a run's, or cannot be read.
        """
        with ExitStack() as held:
            held.callback(self._storage.release)
            self._storage.hold()
            names = self._storage.names()
            strange = [name for name in names if not (_is_a_runs(name) or name.startswith("."))]
            if strange:
                self._storage.delete([LOCK])
                if PLAN in strange:
                    raise LedgerError(
                        f"{self._storage.folder!r} holds {PLAN!r}, of a job of several machines:"
                        " finish it by scene-batch distribute, or name another output"
                    )
                raise LedgerError(
                    f"{self._storage.folder!r} holds {strange[0]!r}, which is not a run's; move it"
                    " elsewhere, and the same command continues; or name another output"
                )
            self._storage.delete([name for name in names if name in PARTIALS])
            self.parts = [name for name in names if is_part(name)]
            self._seen = frozenset(names)
            if self.parts and not {JOB, FINISHED, RECORD} & set(names):
                # The last restart or removal was broken off, or the file was deleted.
                self.thrown_away = f"{JOB!r} is missing in {self._storage.folder!r}"
                self.restart()
            held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Let other processes use the folder."""
        self._storage.release()

    @property
    def identity(self) -> dict[str, Any] | None:
        """What must be equal to continue the unfinished run; None where nothing has begun."""
        begun = self._read(JOB)
        return None if begun is None else begun["job"]

    @property
    def finished(self) -> dict[str, Any] | None:
        """The record of a run of which only the last steps are missing; else None."""
        return self._read(FINISHED) or self._read(RECORD)

    @property
    def finished_text(self) -> str:
        """The same record as it was written."""
        return self._storage.read(FINISHED) or self._storage.read(RECORD) or ""

    @property
    def rows(self) -> int:
        """Rows in the parts, by their own count."""
        for part in self.parts:
            if part not in self._rows:
                self._rows[part] = pq.read_metadata(self._storage.parquet(part)).num_rows
        return sum(self._rows[part] for part in self.parts)

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Write ``job.json``: an id for the run, and what must be equal to continue it.

        Raises:
            OutputBusyError: Another process was quicker.
        """
        run = uuid4().hex
        scratch = self._storage.scratch / f"job{PARTIAL}"
        scratch.write_text(json.dumps({"run": run, "job": identity}, indent=2), encoding="utf-8")
        self._storage.create(JOB, scratch)
        self.run, self._begun = run, True

    def resume(self) -> tuple[ImageRef | None, Tally] | None:
        """Continue the run that was begun: its last saved photo and its tally; None without a part.

        A part that is damaged or missing is thrown away with those behind it.
        """
        begun = self._read(JOB)
        assert begun is not None  # noqa: S101 - the caller has read it
        self.run = begun["run"]
        last, classes, unreadable = None, Counter[str](), Counter[str]()
        for number, name in enumerate(self.parts):
            try:
                last = self._sound_part(number, name, last)
            except DamagedPartError as error:
                self._throw_away(number, error)
                break
            of_class, of_code = count(self._storage.parquet(name))
            classes += of_class
            unreadable += of_code
        if last is None:
            return None
        tally = Tally.from_json(last.tally)
        tally.classes, tally.unreadable = classes, unreadable  # as they are, not as they were
        return last.end, tally

    def _sound_part(self, number: int, name: str, before: Part | None) -> Part:
        if name != part_name(number):
            raise DamagedPartError(part_name(number), "is missing")
        part = Part.read(self._storage.parquet(name), name)
        part.check_follows(before, name)
        if part.run != self.run:
            raise DamagedPartError(name, "is another run's")
        self._rows[name] = part.rows
        return part

    def _throw_away(self, number: int, reason: DamagedPartError) -> None:
        self._storage.delete(list(reversed(self.parts[number:])))
        self.parts = self.parts[:number]
        self.thrown_away = str(reason).partition(";")[0]

    @property
    def is_ours(self) -> bool:
        """Whether no other process has begun or finished there."""
        begun = self._read(JOB)
        return self.run is not None and begun is not None and begun["run"] == self.run

    def finish(self, record: str) -> None:
        """Write the record, which says that the table is whole."""
        self._storage.write(FINISHED, record)

    def unfinish(self) -> None:
        """Take the record back: a part is damaged, and the run must go on."""
        self._storage.delete([FINISHED])

    def next_part(self) -> Path:
        """The scratch file into which the next part is written."""
        return self._storage.scratch / f"part{PARTIAL}"

    def add_part(self) -> None:
        """Move the part that was written into the folder, where it is saved.

        Raises:
            OutputBusyError: Another process has added one of this number.
        """
        name = part_name(len(self.parts))
        self._rows[name] = pq.read_metadata(self.next_part()).num_rows
        self._storage.create(name, self.next_part())
        self.parts.append(name)

    def check_alone(self) -> None:
        """Raise OutputBusyError if another process has begun or finished there."""
        if not self.is_ours:
            raise OutputBusyError(
                f"another process has written {self._storage.name!r} meanwhile; this run's rows"
                " are not in it"
            )

    def restart(self) -> None:
        """Delete what is there; if that is broken off, a later run deletes or continues it."""
        if {FINISHED, RECORD} & set(self._storage.names()):
            self._storage.delete_unrecorded()
        # Only what was there: another process may be quick to begin.
        there = [name for name in (FINISHED, RECORD, JOB, WHOLE) if name in self._seen]
        self._storage.delete([*there, *self.parts])
        self.parts = []

    def remove(self, at_the_end: Callable[[], None] = lambda: None) -> None:
        """Delete everything; last the file that says that the run is finished."""
        self._storage.delete([JOB, *self.parts, WHOLE, RECORD])
        self.parts = []
        at_the_end()
        self._storage.discard()

    def remove_if_ours(self) -> None:
        """Delete everything, unless another process has begun or continued a run there."""
        if self._storage.is_exclusive:
            self.remove()
        elif self._begun and self.is_ours:
            there = {name for name in self._storage.names() if is_part(name)}
            if there <= set(self.parts):
                self.remove()

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            text = self._storage.read(name)
            if text is None:
                return None
            value = json.loads(text)
            kinds = _KEYS[name]
            if isinstance(value, dict) and all(type(value.get(k)) is kinds[k] for k in kinds):
                return value
            reason = "its keys are not a run's"
        except ValueError as error:
            reason = str(error)
        raise LedgerError(
            f"{name!r} in {self._storage.folder!r} cannot be read ({reason}); throw the unfinished"
            " run away with --restart"
        )


_KEYS: dict[str, dict[str, type]] = {
    JOB: {"run": str, "job": dict},
    FINISHED: {"photos": int, "job": str},
    RECORD: {"photos": int, "job": str},
}


def _is_a_runs(name: str) -> bool:
    return name in (LOCK, JOB, WHOLE, FINISHED, RECORD, *PARTIALS) or is_part(name)
