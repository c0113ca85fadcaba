"""The record of the whole, from those of its shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from scene_batch.errors import TableError
from scene_batch.pipeline.merged_record import merged_record
from scene_batch.tables.run_record import RunRecord

_OF_A_SHARE = ("span", "merged_shards")


def whole_record(
    records: Sequence[dict[str, Any]], job: str, limit: int | None, ignored: dict[str, int]
) -> RunRecord:
    """What one run would have recorded, and what came of each share.

    Its seconds are those from the first share's beginning until now.

    Args:
        records: Of all shares, in order.
        job: The fingerprint of the whole.
        limit: The job's.
        ignored: What was passed over when the plan was made.

    Raises:
        TableError: Shares were computed differently.
    """
    _check_same(records)
    record = merged_record(records, job)
    settings = {key: v for key, v in record.settings.items() if key not in _OF_A_SHARE}
    begun = datetime.fromisoformat(record.started_at)
    seconds = max((datetime.now(UTC) - begun).total_seconds(), 0.001)
    return replace(
        record,
        ignored=ignored,
        settings={**settings, "limit": limit},
        seconds=round(seconds, 3),
        photos_per_second=round(record.photos / seconds, 1),
        shares=[_of_share(record) for record in records],
    )


def _of_share(record: dict[str, Any]) -> dict[str, Any]:
    about = record["shares"][0] if record["shares"] else {}
    kept = ("photos", "seconds", "photos_per_second")
    # Runs count how often they went on; attempts that saved nothing are the driver's to count.
    attempts = max(about.get("attempts", 1), record["attempts"])
    return {**about, "attempts": attempts, **{key: record[key] for key in kept}}


def _check_same(records: Sequence[dict[str, Any]]) -> None:
    """Refuse a table that is computed in two ways: its probabilities would not be comparable."""
    ways = {f"{r['provider']} in {r['settings']['precision']}": r for r in records}
    if len(ways) > 1:
        names = [
            f"{way} (on {record['shares'][0]['machine'] if record['shares'] else 'a machine'})"
            for way, record in ways.items()
        ]
        raise TableError(
            f"machines have computed in different ways: {', '.join(names)}; name one of them with"
            " --provider, and begin anew with --restart"
        )
