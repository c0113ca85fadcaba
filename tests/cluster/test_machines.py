"""With a real cluster: the table of many machines is that of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from buckets import Bucket
from clusters import SmallCluster, run_to_the_end, words
from faults import CUT, Fault, Request, slow_down


def _faulty(request: Request) -> Fault | None:
    """8 % of all requests are refused, and 4 % of the photos cut."""
    if request.total % 12 == 5 and request.method != "PUT":
        return slow_down()
    return CUT if request.is_photo and request.total % 25 == 3 else None


def _words(machines: SmallCluster, bucket: Bucket, out: str, model: Path) -> Sequence[str]:
    more = ("--model", str(model), "--shares", "4", "--max-unreadable", "100%")
    return words(machines, f"{bucket.url}/album", "--out", f"{bucket.url}/{out}", *more)


def test_the_table_of_two_machines_is_that_of_one_whatever_the_store_does(
    machines: SmallCluster, calm_bucket: Bucket, album_rows: pa.Table, colour_model: Path
) -> None:
    calm_bucket.front.decide = _faulty
    lines = run_to_the_end(_words(machines, calm_bucket, "set/", colour_model))
    assert calm_bucket.table("set/").equals(album_rows)
    record = json.loads(calm_bucket.get("set/_run.json"))
    assert [share["attempts"] for share in record["shares"]] == [1] * 4
    assert sum(share["photos"] for share in record["shares"]) == record["photos"] == 30
    assert record["retries"] > 0
    assert lines[-1]["event"] == "summary"
    assert not [key for key in calm_bucket.keys() if ".parts" in key]


@pytest.mark.nightly
def test_a_single_table_of_two_machines_is_that_of_one(
    machines: SmallCluster, calm_bucket: Bucket, album_rows: pa.Table, colour_model: Path
) -> None:
    run_to_the_end(_words(machines, calm_bucket, "p.parquet", colour_model))
    assert calm_bucket.table("p.parquet").equals(album_rows)
