"""The names of the files that an output is built from."""

from __future__ import annotations

import re

JOB = "job.json"
"""What the run is asked to do, and its id."""
FINISHED = "finished.json"
"""The record of a run whose rows are all written: only the last steps are missing."""
WHOLE = "whole"
"""The finished table, before it gets its name."""
PLAN = "plan.json"
"""How an output is shared out among several runs; their parts lie in folders beside it."""
RECORD = "_run.json"
"""The record within a data set; readers of data sets skip names that begin with ``_``."""
RECORD_ENDING = ".run.json"
"""What the name of a record beside a table adds to the table's."""
LOCK = "_lock"
"""The file that a process locks while it writes."""
PARTIAL = ".partial"
"""The suffix of files that are being written."""

PARTIALS = tuple(f"{name}{PARTIAL}" for name in ("part", WHOLE, "job", JOB, FINISHED, RECORD))

_PART = re.compile(r"part-\d{6,}\.parquet")


def part_name(number: int) -> str:
    """The name of a part, from 0."""
    return f"part-{number:06}.parquet"


def share_name(share: int) -> str:
    """What the folder of a share's parts begins with, from 0."""
    return f"share-{share:06}"


def part_name_of_share(share: int, number: int) -> str:
    """The name of a share's part in a data set of all of them: sorted, they are in order."""
    return f"part-{share:06}{number:06}.parquet"


def is_part(name: str) -> bool:
    """Whether it is the name of a part."""
    return bool(_PART.fullmatch(name))
