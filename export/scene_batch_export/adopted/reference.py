"""A table of what the user's own pipeline says of photos, against the whole way here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scene_batch.errors import ParityError, SourceError
from scene_batch.model.predictor import Predictor
from scene_batch.records import Decoded, ImageRef
from scene_batch.sources.reading import Reader
from scene_batch_export.adopted.known import followed
from scene_batch_train.figures import Probabilities

MOST_PHOTOS = 2000


@dataclass(frozen=True, slots=True)
class Reference:
    """Paths, and for each its class or its probabilities."""

    paths: Sequence[str]
    class_indices: Sequence[int]
    probabilities: Probabilities | None
    """``(photos, classes)``; None where only classes are known."""


def read_reference(path: Path, classes: Sequence[str]) -> Reference:
    """Read a CSV or Parquet table.

    It has a column ``path``, and one of these:

    - ``probabilities``: a list for each photo, in CSV as JSON, in class index order;
    - a column of numbers for each class name;
    - ``class``: a name.

    Raises:
        SourceError: It cannot be read, or has none of these.
    """
    rows = list(_rows(path))[:MOST_PHOTOS]
    columns = set(rows[0]) if rows else set()
    if "path" not in columns or not rows:
        raise SourceError(f"{str(path)!r} has no column 'path', or no rows")
    paths = [str(row["path"]) for row in rows]
    with followed(repr(str(path))):
        if "probabilities" in columns:
            found = [_list(row["probabilities"]) for row in rows]
        elif set(classes) <= columns:
            found = [[float(row[name]) for name in classes] for row in rows]
        elif "class" in columns:
            return Reference(paths, [_index(str(row["class"]), classes) for row in rows], None)
        else:
            raise SourceError(
                f"{str(path)!r} has neither 'probabilities', nor a column for each class, nor"
                " 'class'"
            )
        probabilities = np.array(found, np.float32)
    if probabilities.shape != (len(rows), len(classes)):
        raise SourceError(f"{str(path)!r} has not {len(classes)} probabilities for each photo")
    return Reference(paths, probabilities.argmax(axis=1).tolist(), probabilities)


def _index(name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise ValueError(f"{name!r} is no class of the model")
    return classes.index(name)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            # Names such as 001 stay as they are.
            texts = {"path": pa.string(), "class": pa.string()}
            options = pyarrow.csv.ConvertOptions(column_types=texts)
            table = pyarrow.csv.read_csv(path, convert_options=options)
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(f"the reference {str(path)!r} cannot be read: {reason}") from None
    yield from table.to_pylist()


def _list(value: object) -> list[float]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        raise ValueError("its probabilities are no lists")
    return [float(each) for each in found]


def hold_against(
    predictor: Predictor, reference: Reference, *, min_agreement: float, max_difference: float
) -> str:
    """Classify the reference's photos from file to probability, and say how they agree.

    Raises:
        ParityError: Fewer agree, or a probability differs more, than is allowed.
        SourceError: A photo cannot be read.
    """
    reader, answers = Reader(), []
    size = predictor.session.batch_size
    for start in range(0, len(reference.paths), size):
        pixels = []
        for path in reference.paths[start : start + size]:
            data = reader.read(ImageRef(path)).data
            photo = predictor.decode(ImageRef(path), data) if isinstance(data, bytes) else data
            if not isinstance(photo, Decoded):
                raise SourceError(f"{path!r} of the reference is {photo.code}: {photo.message}")
            pixels.append(photo.pixels)
        answers.append(predictor.session.probabilities(pixels))
    found = np.concatenate(answers)
    agreement = float((found.argmax(axis=1) == np.array(reference.class_indices)).mean())
    said = f"{len(found)} photos of the reference: the same class for {agreement:.4f}"
    largest = 0.0
    if reference.probabilities is not None:
        off = np.abs(found - reference.probabilities).max(axis=1)
        largest = float(off.max())
        said += f", probabilities within {largest:.1e} (median {float(np.median(off)):.1e})"
    if agreement < min_agreement or not largest <= max_difference:
        raise ParityError(
            f"not written: {said}; allowed: {min_agreement:g} (--reference-agreement),"
            f" {max_difference:g} (--reference-difference); look at --preprocess, --channels,"
            " --mean and --std"
        )
    return said
