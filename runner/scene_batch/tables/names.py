"""The names of the files that an output is built from."""

from __future__ import annotations

import re

JOB = "job.json"
"""What the run is."""
FINISHED = "finished.json"
"""The record of a run that is done but for the last steps."""
WHOLE = "whole"
"""The finished table, before it gets its name."""
RECORD = "_run.json"
"""The record within a data set; readers of data sets pass over names that begin with _."""
LOCK = "_lock"
"""What a process holds while it writes."""
PARTIAL = ".partial"
"""How the name of what is being written ends."""

PARTIALS = tuple(f"{name}{PARTIAL}" for name in ("part", WHOLE, "job", JOB, FINISHED, RECORD))

_PART = re.compile(r"part-\d{6,}\.parquet")


def part_name(number: int) -> str:
    """The name of a part, from 0."""
    return f"part-{number:06}.parquet"


def is_part(name: str) -> bool:
    """Whether a part has that name."""
    return bool(_PART.fullmatch(name))
