"""What a part says of itself, in its file's metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.errors import DamagedPartError
from scene_batch.outputs.tally import Counts, Tally
from scene_batch.records import ImageRef, Position
from scene_batch.tables.parquet_file import batches
from scene_batch.tables.seal import ParquetSource, is_sound

PART_KEY = "scene_batch.part"
_ROWS_AT_A_TIME = 8192


@dataclass(frozen=True, slots=True)
class Part:
    """What a sound part says of itself."""

    run: str
    """The id of its run."""
    rows: int
    begin: ImageRef | None
    """Its first photo; None if it has no row."""
    end: ImageRef | None
    """Its last photo."""
    tally: Mapping[str, Any]
    """What the run had counted at its end; see ``Tally.to_json``."""

    @classmethod
    def read(cls, source: ParquetSource, name: str) -> Part:
        """Read a part's metadata, and hold the whole file against its digest.

        Raises:
            DamagedPartError: It is not as it was written.
        """
        try:
            if not is_sound(source):
                raise DamagedPartError(name, "is damaged")
            file = pq.read_metadata(source)
            value = json.loads(file.metadata[PART_KEY.encode()])
        except (OSError, pa.ArrowInvalid, ValueError, KeyError, TypeError) as error:
            if isinstance(error, DamagedPartError):
                raise
            raise DamagedPartError(name, f"cannot be read ({error})") from None
        begin, end = ref_from_json(value["begin"]), ref_from_json(value["end"])
        return cls(value["run"], file.num_rows, begin, end, value["tally"])

    def check_follows(self, before: Part | None, name: str) -> None:
        """Raise DamagedPartError unless it is of the same run as the part before it, and behind.

        Without one before it, it must be the run's first: each part says how many rows there are.
        """
        first = self.tally["rows"] - self.rows
        if before is None:
            if first:
                raise DamagedPartError(name, "is not the first part")
            return
        ordered = before.end is None or (
            self.begin is not None and self.begin.order_key > before.end.order_key
        )
        if not ordered or self.run != before.run or first != before.tally["rows"]:
            raise DamagedPartError(name, "does not follow the part before it")


def count(source: ParquetSource) -> Counts:
    """The rows of a part, by class, and the unreadable ones by code."""
    classes: Counter[str] = Counter()
    unreadable: Counter[str] = Counter()
    for batch in batches(source, _ROWS_AT_A_TIME, ["class", "error"]):
        classes.update(filter(None, batch["class"].to_pylist()))
        errors = batch["error"].drop_null().to_pylist()
        unreadable.update(error.partition(":")[0] for error in errors)
    return classes, unreadable


def part_json(
    run: str | None,
    begin: ImageRef | None,
    end: ImageRef | None,
    tally: Tally,
    e_tags: str | None = None,
) -> dict[str, str]:
    """A part's metadata: its run, its first and last photo, and what the run counted until then.

    ``e_tags`` are those of its photos, see ``outputs/saved_photos.py``.
    """
    value = {
        "run": run,
        "begin": begin and _ref_to_json(begin),
        "end": end and _ref_to_json(end),
        "tally": tally.to_json(),
        "e_tags": e_tags,
    }
    return {PART_KEY: json.dumps(value)}


def _ref_to_json(ref: ImageRef) -> dict[str, Any]:
    # Bytes that are not UTF-8 are lone surrogates here, which JSON can escape and Parquet cannot.
    return {"path": ref.path, **asdict(ref.position)}


def ref_from_json(value: Mapping[str, Any] | None) -> ImageRef | None:
    """Read a part's first or last photo; None if the part is empty."""
    if value is None:
        return None
    position = {key: number for key, number in value.items() if key != "path"}
    return ImageRef(value["path"], position=Position(**position))
