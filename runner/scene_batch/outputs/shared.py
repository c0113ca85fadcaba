"""One output that several runs write, each a share of it: a plan beside it, and their parts.

::

    PATH.parts/plan.json                  the job, an id, and how its photos are shared out
    PATH.parts/share-000007.parts/        the parts and the ledger of a share, as its run left them
    PATH.parts/finished.json              all shares are done; only the last steps are missing

The plan goes first when the output has its name: without it, what is left is to be cleared away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from scene_batch.errors import (
    AccountingError,
    DamagedPartError,
    LedgerError,
    OutputBusyError,
    OutputExistsError,
)
from scene_batch.outputs.joining import join
from scene_batch.outputs.part_metadata import Part
from scene_batch.outputs.plan import differences, fingerprint
from scene_batch.outputs.storage import open_storage, telling
from scene_batch.tables.names import (
    FINISHED,
    LOCK,
    PARTIALS,
    PLAN,
    WHOLE,
    is_part,
    part_name,
    part_name_of_share,
    share_name,
)


def output_of_share(name: str, share: int) -> str:
    """The name of the output of a share's run, which keeps its parts."""
    return f"{name.rstrip('/')}.parts/{share_name(share)}/"


class SharedOutput:
    """An output and its plan, to be entered; other commands are kept off it meanwhile."""

    def __init__(
        self,
        name: str,
        identity: Mapping[str, Any],
        *,
        overwrite: bool = False,
        restart: bool = False,
        at_the_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._name, self._identity = name, identity
        self._overwrite, self._restart = overwrite, restart
        self._at_the_end = at_the_end
        with telling(name):
            self._storage = open_storage(name)
        self._held = ExitStack()
        self._run = ""
        self.shares: list[Any] | None = None
        """What ``begin`` was given, by this command or an earlier one; None: nothing has begun."""
        self.done: dict[str, Any] | None = None
        """The record of a job that lacked only its last steps: nothing is left to do."""

    def __enter__(self) -> Self:
        """Keep other commands off the output, and look for a plan.

        Raises:
            OutputExistsError: The table is already there and may not be replaced.
            OutputBusyError: Another process writes it.
            LedgerError: Something else that is unfinished lies there.
            OutputError: It cannot be written.
        """
        with ExitStack() as held, telling(self._name):
            self._storage.check()
            held.callback(self._release)
            self._storage.hold()
            self._look()
            self._held = held.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Let other commands use the output."""
        self._held.close()

    @property
    def run(self) -> str:
        """The id of the plan."""
        return self._run

    def begin(self, shares: list[Any]) -> None:
        """Save how the photos are shared out: JSON values, one for each share, in order."""
        run = uuid4().hex
        text = json.dumps({"run": run, "job": self._identity, "shares": shares})
        with telling(self._name):
            scratch = self._storage.scratch / f"job{PARTIALS[0]}"
            scratch.write_text(text, encoding="utf-8")
            self._storage.create(PLAN, scratch)
        self._run, self.shares = run, shares

    def record_of(self, share: int) -> dict[str, Any] | None:
        """The record of a share that is finished."""
        with telling(self._name):
            text = self._storage.read(f"{share_name(share)}.parts/{FINISHED}")
        return None if text is None else json.loads(text)

    def publish(self, record: str, rows: int) -> None:
        """Make the shares' parts, in order, into the table, and give it its name.

        Raises:
            OutputBusyError: Another command has written there meanwhile.
            DamagedPartError: A part is damaged or missing.
            AccountingError: The parts hold another number of rows.
        """
        assert self.shares is not None  # noqa: S101 - begun
        with telling(self._name):
            check_plan(self._name, self._run)
            if self._is_data_set:
                names = self._named(rows)
                self._storage.write(FINISHED, record)
                self._end_on_a_disk()
                self._storage.publish_shares(names, record)
            else:
                self._join(record, rows)
                self._storage.write(FINISHED, record)
                self._end_on_a_disk()
                self._storage.publish_file(self._storage.scratch / WHOLE, record)
            self._clear_away()

    @property
    def _is_data_set(self) -> bool:
        return self._name.endswith("/")

    def _join(self, record: str, rows: int) -> None:
        assert self.shares is not None  # noqa: S101 - begun
        (self._storage.scratch / WHOLE).unlink(missing_ok=True)
        runs = (self._parts(share) for share in range(len(self.shares)))
        join(self._storage, runs, Path(self._name).suffix, record, rows)

    def _named(self, rows: int) -> dict[str, str]:
        """The parts of all shares, and their names in the data set; each share is whole."""
        assert self.shares is not None  # noqa: S101 - begun
        names, found = {}, 0
        for share in range(len(self.shares)):
            parts = self._parts(share)
            for number, part in enumerate(parts):
                if part.rpartition("/")[2] != part_name(number):
                    raise DamagedPartError(part, "does not follow the part before it")
                names[part] = part_name_of_share(share, number)
            # Each was checked when its run ended: the last one says how many rows there are.
            found += Part.read(self._storage.parquet(parts[-1]), parts[-1]).tally["rows"]
        if found != rows:
            raise AccountingError(f"{rows} rows were written, their parts hold {found}")
        return names

    def _parts(self, share: int) -> list[str]:
        folder = f"{share_name(share)}.parts"
        parts = [f"{folder}/{name}" for name in self._storage.names(folder) if is_part(name)]
        if not parts:
            raise DamagedPartError(f"{folder}/{part_name(0)}", "is missing")
        return parts

    def _look(self) -> None:
        storage = self._storage
        strange = [name for name in storage.names() if not _is_ours(name)]
        if strange:
            raise LedgerError(
                f"{storage.folder!r} holds {strange[0]!r}: an unfinished run of another command;"
                " finish it with that command, or name another output"
            )
        finished = self._read(FINISHED)
        plan = None if self._restart else self._read(PLAN)
        if finished is not None and plan is None:  # published, or restarted: to be cleared away
            is_done = finished["job"] == fingerprint(self._identity) and storage.exists()
            self._clear_away()
            if is_done and not (self._overwrite or self._restart):
                self.done = finished
                return
            storage.hold()
        elif plan is None:
            self._delete()
        if plan is not None and plan["job"] != self._identity:
            what = "; ".join(differences(plan["job"], self._identity))
            raise LedgerError(
                f"{storage.folder!r} holds an unfinished job with another {what}: finish it with"
                " its own command, or throw it away with --restart"
            )
        if (plan is None or finished is None) and storage.exists() and not self._overwrite:
            raise OutputExistsError(self._name)
        if plan is not None:
            self._run, self.shares = plan["run"], plan["shares"]
            if finished is not None:
                self._publish_again(finished)

    def _publish_again(self, finished: dict[str, Any]) -> None:
        text = self._storage.read(FINISHED)
        assert text is not None  # noqa: S101 - just read
        if self._is_data_set:
            self._storage.publish_shares(dict(self._renamed()), text)
        else:
            self._join(text, finished["photos"])
            self._storage.publish_file(self._storage.scratch / WHOLE, text)
        self._clear_away()
        self.done = finished

    def _renamed(self) -> Iterator[tuple[str, str]]:
        """Parts that are not published yet, and their names in the data set."""
        assert self.shares is not None  # noqa: S101 - begun
        for share in range(len(self.shares)):
            folder = f"{share_name(share)}.parts"
            parts = [name for name in self._storage.names(folder) if is_part(name)]
            for part in parts:
                number = int(part.removeprefix("part-").removesuffix(".parquet"))
                yield f"{folder}/{part}", part_name_of_share(share, number)

    def _clear_away(self) -> None:
        self._delete()
        if self._storage.is_exclusive:
            self._at_the_end()
        self._storage.discard()

    def _delete(self) -> None:
        """Delete plan, shares and all but what says that the job is finished."""
        there = {name for name in self._storage.names() if "/" not in name}
        self._storage.delete([name for name in (PLAN, *PARTIALS) if name in there])
        self._storage.delete_shares()
        if WHOLE in there:
            self._storage.delete([WHOLE])

    def _end_on_a_disk(self) -> None:
        if self._storage.is_exclusive:  # where all that is left takes a moment
            self._at_the_end()

    def _release(self) -> None:
        """Let other commands use the folder, which goes if nothing has begun."""
        with suppress(OSError):
            if self._storage.is_exclusive and set(self._storage.names()) <= {LOCK}:
                self._storage.discard()
        self._storage.release()

    def _read(self, name: str) -> dict[str, Any] | None:
        text = self._storage.read(name)
        try:
            value = None if text is None else json.loads(text)
        except ValueError:
            value = text
        if value is None or isinstance(value, dict):
            return value
        raise LedgerError(
            f"{name!r} in {self._storage.folder!r} cannot be read; throw the unfinished job away"
            " with --restart"
        )


def is_planned(name: str) -> bool:
    """Whether this machine sees a plan beside an output."""
    with telling(name):
        return open_storage(name).read(PLAN) is not None


def check_plan(name: str, run: str) -> None:
    """Refuse to go on with a share whose plan is gone, or is another one.

    Raises:
        OutputBusyError: The job has ended or was begun anew.
    """
    with telling(name):
        text = open_storage(name).read(PLAN)
    if text is None or json.loads(text)["run"] != run:
        raise OutputBusyError(
            f"the plan of {name!r} is gone, or is another one: the job has ended or was begun anew"
        )


def _is_ours(name: str) -> bool:
    first = name.partition("/")[0]
    return first in (LOCK, PLAN, FINISHED, WHOLE, *PARTIALS) or first.startswith((".", "share-"))
