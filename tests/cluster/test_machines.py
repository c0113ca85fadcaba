"""With a real cluster: the table of many machines is that of one."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from buckets import Bucket
from clusters import SmallCluster, run_to_the_end, words
from faults import CUT, Fault, Request, slow_down


def _faulty(request: Request) -> Fault | None:
    """8 % of all requests are refused, and 4 % of the photos cut."""
    if request.total % 12 == 5 and request.method != "PUT":
        return slow_down()
    return CUT if request.is_photo and request.total % 25 == 3 else None


def test_the_table_of_two_machines_is_that_of_one_whatever_the_store_does(
    machines: SmallCluster, calm_bucket: Bucket, album_rows: pa.Table, colour_model: Path
) -> None:
    source, model = f"{calm_bucket.url}/album", ("--model", str(colour_model))
    more = ("--shares", "4", "--max-unreadable", "100%")
    calm_bucket.front.decide = _faulty
    run_to_the_end(words(machines, source, "--out", f"{calm_bucket.url}/set/", *model, *more))
    assert calm_bucket.table("set/").equals(album_rows)
    calm_bucket.front.decide = lambda request: None
    lines = run_to_the_end(
        words(machines, source, "--out", f"{calm_bucket.url}/p.parquet", *model, *more)
    )
    assert calm_bucket.table("p.parquet").equals(album_rows)
    record = json.loads(calm_bucket.get("p.parquet.run.json"))
    assert [share["attempts"] for share in record["shares"]] == [1] * 4
    assert sum(share["photos"] for share in record["shares"]) == record["photos"] == 30
    assert lines[-1]["event"] == "summary"
    assert not [key for key in calm_bucket.keys() if ".parts" in key]
