"""What becomes of a run that was broken off: continued, ended, thrown away or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scene_batch.errors import DamagedPartError, LedgerError, OutputExistsError
from scene_batch.outputs.plan import Plan, differences, fingerprint
from scene_batch.outputs.publishing import Publisher
from scene_batch.outputs.tally import Tally
from scene_batch.records import ImageRef


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a run begins."""

    after: ImageRef | None = None
    """The last photo that is saved; None at the start."""
    tally: Tally = field(default_factory=Tally)
    """What was counted until then."""
    done: Mapping[str, Any] | None = None
    """The record of a run that lacked only its last steps: nothing is left to do."""
    thrown_away: str = ""
    """Why saved rows were thrown away and are computed again; empty where none were."""


def resume(publisher: Publisher, plan: Plan, overwrite: bool, restart: bool) -> Resumed:
    """Begin a run, or continue the one that was broken off; see ``open_output``.

    Raises:
        OutputExistsError: The table is already there and may not be replaced.
        LedgerError: An unfinished run of another job lies there.
    """
    ledger, storage = publisher.ledger, publisher.storage
    if restart:
        ledger.restart()
    record = ledger.finished
    if record is not None and storage.is_published() and storage.exists():
        # Only the folder is still there.
        ours = record["job"] == fingerprint(plan.identity)
        ledger.restart()
        if ours and not overwrite:
            ledger.remove()
            return Resumed(done=record)
        record = None
    identity = ledger.identity
    _refuse_another(publisher, plan, identity, record)
    # In a store, the table that is there may be the finished run's own.
    if storage.exists() and not overwrite and (record is None or storage.is_exclusive):
        remedy = ": replace it with --overwrite"
        if publisher.name.endswith(".parquet") and "shards" not in plan.identity:  # not of a merge
            remedy += ", or add what is new with --update"
        raise OutputExistsError(publisher.name, remedy)
    if record is not None:
        try:
            publisher.publish_finished(ledger.finished_text, record["photos"])
        except DamagedPartError:
            ledger.unfinish()
        else:
            publisher.clear_away()
            return Resumed(done=record)
    if identity == plan.identity and plan.continuable:
        last = ledger.resume() or (None, Tally())
        return Resumed(*last, thrown_away=ledger.thrown_away)
    ledger.restart()
    ledger.begin(plan.identity)
    return Resumed(thrown_away=ledger.thrown_away)


def _refuse_another(
    publisher: Publisher,
    plan: Plan,
    identity: Mapping[str, Any] | None,
    finished: Mapping[str, Any] | None,
) -> None:
    """Refuse to touch what another job has saved, or where its run may be going on."""
    if finished is not None:
        other = finished["job"] != fingerprint(plan.identity)
    else:
        saved = publisher.ledger.parts or not publisher.storage.is_exclusive
        other = bool(saved) and identity is not None and identity != plan.identity
    if other:
        what = "; ".join(differences(identity, plan.identity)) if identity else ""
        what = what or "job"
        raise LedgerError(
            f"{publisher.storage.folder!r} holds an unfinished run with another {what}: finish it"
            " with its own command, or throw it away with --restart"
        )
