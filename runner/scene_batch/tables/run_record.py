"""The record of a run: what came of it, and how long it took."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The record that lies beside the output, and in a Parquet file's metadata."""

    job: str
    """The sha256 of all that decides the rows, leaving out the table that was updated."""
    photos: int
    photos_per_source: Sequence[int]
    ok: int
    unreadable: Mapping[str, int]
    ignored: Mapping[str, int]
    retries: int
    classes: Mapping[str, int]
    provider: str
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    started_at: str
    attempts: int
    seconds: float
    stages: Mapping[str, Mapping[str, float]]
    """By stage: ``threads``, ``busy_seconds`` and ``waiting_seconds``, summed over the threads."""
    photos_per_second: float
    """Of those that were classified: rows that an update kept are not counted."""
    bottleneck: str
    hint: str = ""
    """The setting that would make another run like this faster; empty where none is known."""
    continued_after: int = 0
    """Rows that earlier attempts had saved when the last one began."""
    renewed: int = 0
    """Saved rows that were classified again, since their photos had changed."""
    update: Mapping[str, int] | None = None
    """With ``--update``, what became of photos and rows; see ``pipeline/update.py``."""
    shares: Sequence[Mapping[str, Any]] = ()
    """Of a job that several machines have shared: what came of each share, in order."""

    def to_json(self) -> str:
        """The record as readable JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def is_record(data: bytes) -> bool:
    """Whether bytes are the record of some run or merge, and no file of somebody else."""
    try:
        value = json.loads(data)
    except ValueError:
        return False
    return isinstance(value, dict) and {"job", "photos", "seconds"} <= value.keys()


def versions() -> dict[str, str]:
    """The versions that decide what a run computes."""
    import numpy as np
    import obstore
    import onnxruntime
    import PIL
    import pyarrow as pa

    from scene_batch import __version__

    return {
        "scene_batch": __version__,
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "obstore": obstore.__version__,
    }
