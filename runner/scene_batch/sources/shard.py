"""A share of a job: which photos are its own, and what its table is called."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from scene_batch.errors import UsageError

INDEX_VARIABLES = ("AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX")
"""Variables that tell a task of AWS Batch's array jobs or Kubernetes' indexed jobs its index."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The photos whose path's CRC-32 leaves the remainder ``index`` when divided by ``count``."""

    index: int
    count: int
    is_automatic: bool = False
    """Whether the environment gave the index, which is then in the table's name."""

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = os.environ) -> Self:
        """Read ``I/N`` or ``auto/N``.

        Raises:
            UsageError: It is neither, or the environment has no index.
        """
        found = re.fullmatch(r"(auto|\d{1,6})/(\d{1,6})", text)
        if not found:
            raise UsageError(f"--shard {text!r}: take I/N with I from 0 to N-1, or auto/N")
        index, count = found[1], int(found[2])
        if index == "auto":
            name = next((name for name in INDEX_VARIABLES if environment.get(name)), None)
            if name is None:
                raise UsageError(
                    f"--shard {text}: neither {' nor '.join(INDEX_VARIABLES)} is set; name the"
                    " index: --shard I/N"
                )
            index = environment[name]
        if not re.fullmatch(r"\d{1,6}", index) or int(index) >= count:
            raise UsageError(f"--shard {text}: the index {index} is not from 0 to {count - 1}")
        return cls(int(index), count, found[1] == "auto")

    def __str__(self) -> str:
        """``I/N``."""
        return f"{self.index}/{self.count}"

    def holds(self, path: str) -> bool:
        """Whether a photo belongs to this shard."""
        return shard_index(path, self.count) == self.index

    def output_name(self, out: str) -> str:
        """The table's name: ``preds-00000-of-00003.parquet`` for an automatic index."""
        if not self.is_automatic or out == "-":
            return out
        ending = f"-{self.index:05}-of-{self.count:05}"
        folder, slash, name = out.rstrip("/").rpartition("/")
        stem, dot, suffix = (name, "", "") if out.endswith("/") else name.rpartition(".")
        return f"{folder}{slash}{stem}{ending}{dot}{suffix}{'/' if out.endswith('/') else ''}"


def shard_index(path: str, count: int) -> int:
    """The index of a photo's shard, by the CRC-32 of its path's bytes."""
    return zlib.crc32(os.fsencode(path)) % count
