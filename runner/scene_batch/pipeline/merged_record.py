"""The record of a table that several runs have made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scene_batch.pipeline.advice import bottleneck
from scene_batch.tables.run_record import RunRecord


def merged_record(records: Sequence[Mapping[str, Any]], job: str) -> RunRecord:
    """What one run would have recorded; times are added up.

    Args:
        records: Those of all shards or shares, as JSON values.
        job: The fingerprint of all that decides the rows of the whole.
    """

    def total(name: str) -> dict[str, float]:
        return {key: sum(r[name].get(key, 0) for r in records) for r in records for key in r[name]}

    first = records[0]
    photos, seconds = sum(r["photos"] for r in records), sum(r["seconds"] for r in records)
    stages = {
        stage: {key: round(sum(r["stages"][stage][key] for r in records), 6) for key in values}
        for stage, values in first["stages"].items()
    }
    of_sources = zip(*(r["photos_per_source"] for r in records), strict=True)
    values = {
        **first,
        "job": job,
        "photos": photos,
        "photos_per_source": [sum(numbers) for numbers in of_sources],
        "ok": sum(r["ok"] for r in records),
        "unreadable": total("unreadable"),
        # Every shard lists all files, so each counts all that are ignored.
        "ignored": {key: max(r["ignored"][key] for r in records) for key in first["ignored"]},
        "retries": sum(r["retries"] for r in records),
        "classes": total("classes"),
        "settings": {**first["settings"], "shard": None, "merged_shards": len(records)},
        "started_at": min(r["started_at"] for r in records),
        "attempts": max(r["attempts"] for r in records),
        "seconds": round(seconds, 3),
        "stages": stages,
        "photos_per_second": round(photos / seconds, 1) if seconds else 0.0,
        "bottleneck": bottleneck(stages),
        "hint": "",
    }
    return RunRecord(**values)
