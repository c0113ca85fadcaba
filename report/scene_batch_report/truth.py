"""What photos really show: by their folder, by a table, or by a pattern of their path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from scene_batch.errors import SourceError, UsageError

PARENT_FOLDER = "parent-folder"
Truth = Callable[[str], str | None]
"""The class of a photo by its path; None where it is not known."""


def truth_of(*said: str) -> Truth:
    """Where the truth comes from; of several, the last one that knows a photo is believed.

    Args:
        said: ``parent-folder``; a CSV or Parquet table with the columns ``path`` and ``class``; or
            a regular expression of the path with a group ``(?P<class>...)``.

    Raises:
        UsageError: It is none of these.
        SourceError: The table cannot be read.
    """
    truths = [_truth_of(each) for each in reversed(said)]
    if len(truths) == 1:
        return truths[0]
    return lambda path: next(filter(None, (truth(path) for truth in truths)), None)


def _truth_of(said: str) -> Truth:
    if said == PARENT_FOLDER:
        return _parent_folder
    if "(?P<class>" in said:
        return _by_pattern(said)
    if not Path(said).is_file():
        raise UsageError(
            f"--truth {said!r}: say {PARENT_FOLDER}, a table with path and class, or a pattern"
            " with (?P<class>...)"
        )
    return _read(Path(said)).get


def _parent_folder(path: str) -> str | None:
    folder, _, _ = path.rpartition("/")
    return folder.rpartition("/")[2] or None


def _by_pattern(pattern: str) -> Truth:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--truth {pattern!r} is no regular expression: {error}") from None

    def find(path: str) -> str | None:
        found = expression.search(path)
        return None if found is None else found["class"]

    return find


def _read(path: Path) -> Mapping[str, str]:
    """The classes of a table, by path; the last line of a path counts."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(path, columns=["path", "class"])
        else:
            columns = {"path": pa.string(), "class": pa.string()}
            options = pyarrow.csv.ConvertOptions(column_types=columns, strings_can_be_null=False)
            parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
            table = pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=options)
        pairs = zip(table["path"].to_pylist(), table["class"].to_pylist(), strict=True)
    except (OSError, KeyError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(
            f"the truth {str(path)!r} is no table with the columns path and class: {reason}"
        ) from None
    return {name: label for name, label in pairs if name is not None and label}
