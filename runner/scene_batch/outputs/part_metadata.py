"""What a part says of itself, in its file's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.errors import LedgerError
from scene_batch.outputs.tally import Tally
from scene_batch.records import ImageRef, Position

_PART_KEY = "scene_batch.part"


def part_json(
    run: str | None, begin: ImageRef | None, end: ImageRef | None, tally: Tally
) -> dict[str, str]:
    """A part's metadata: its run, its first and last photo, and what the run counted until then."""
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


def _ref_to_json(ref: ImageRef) -> dict[str, Any]:
    # Bytes that are not UTF-8 are lone surrogates here, which JSON can escape and Parquet cannot.
    return {"path": ref.path, **asdict(ref.position)}


def ref_from_json(value: Mapping[str, Any] | None) -> ImageRef | None:
    """Read a part's first or last photo; None if the part is empty."""
    if value is None:
        return None
    position = {key: number for key, number in value.items() if key != "path"}
    return ImageRef(value["path"], position=Position(**position))
