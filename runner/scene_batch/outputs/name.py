"""The names of outputs, which tell their formats."""

from __future__ import annotations

from pathlib import Path

from scene_batch.errors import UsageError
from scene_batch.object_store.address import BUCKET_SCHEMES, Address, is_url, shown
from scene_batch.records import printable

SUFFIXES = (".parquet", ".csv", ".jsonl", "/")
STANDARD_OUTPUT = "-"


def check_name(name: str) -> None:
    """Raise UsageError for a name that has no known suffix or cannot be written to."""
    if is_url(name):
        address = Address.parse(name)
        if not (address.is_listable and address.key):
            schemes = ", ".join(f"{scheme}://" for scheme in BUCKET_SCHEMES)
            raise UsageError(
                f"--out {shown(name)!r}: name a file or a folder/ in a bucket: {schemes}"
            )
    stem = Path(name).name if name.endswith("/") else Path(name).stem if Path(name).suffix else ""
    if name != STANDARD_OUTPUT and not (name.endswith(SUFFIXES) and stem.strip(".")):
        raise UsageError(
            f"--out {shown(name)!r}: the suffix decides the format: .parquet, .csv, .jsonl,"
            " / for a Parquet data set, or - for JSON Lines on standard output"
        )
    if name.rstrip("/").endswith((".parts", ".parts.replaced")):
        raise UsageError(
            f"--out {shown(name)!r}: names that end so are for unfinished runs; take another"
        )
    if not printable(name).isprintable() or printable(name) != name:
        raise UsageError(f"--out {name!r}: the name is not plain UTF-8; take another")
