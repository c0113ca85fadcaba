"""What a run is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scene_batch.errors import UsageError
from scene_batch.model.compute_options import AUTO, ComputeOptions
from scene_batch.sources.directory import with_slashes
from scene_batch.sources.file_list import USUAL, ListFormat
from scene_batch.sources.selection import EVERYTHING, Selection
from scene_batch.sources.shard import Shard
from scene_batch.sources.span import WHOLE, Span


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is asked to do.

    Raises:
        UsageError: Two of its settings contradict each other.
    """

    sources: tuple[str, ...]
    out: str
    """The output's name as typed."""
    model: Path | str | None = None
    """The model file, or its URL; None: the embedded one."""
    config: Path | None = None
    """The file that settings came from, which is never written; None: there is none."""
    model_sha256: str | None = None
    """What the sha256 of the model file must be, 64 hex digits; None: whatever it is."""
    compute: ComputeOptions = AUTO
    top_k: int | None = None
    """Classes for each photo; None: 3, or all where there are fewer."""
    overwrite: bool = False
    """Replace a table that is there."""
    update: bool = False
    """Keep the table that is there, and classify what is new or changed."""
    prune: bool = False
    """With ``update``: drop the rows of photos that are gone."""
    retry_unreadable: bool = False
    """Classify again what was unreadable in the table that is there."""
    restart: bool = False
    """Throw away what an unfinished run left."""
    keeps_parts: bool = False
    """Leave the finished parts beside PATH, as a share of an output of ``outputs/shared.py``."""
    about: Mapping[str, Any] | None = None
    """What the record of a share is to say of it; JSON values."""
    lists_as: ListFormat = USUAL
    selection: Selection = EVERYTHING
    """What is taken of directories and prefixes."""
    shard: Shard | None = None
    """Classify only the photos of this shard; None: all."""
    span: Span = WHOLE
    """Classify only the photos in this stretch of the sources' order."""
    hide_queries: bool = False
    """Write a digest in place of the query of a URL, which may be a signature, into the table."""
    limit: int | None = None
    """Stop after this many photos."""
    workers: int | None = None
    """Threads that read and decode; None: as many as this process may use."""
    read_timeout: float = 60.0
    """Seconds that a read may take; the photo of a slower one is unreadable: ``timeout``."""
    decode_timeout: float = 60.0
    """Seconds that decoding a photo may take; a slower one is unreadable: ``timeout``."""
    photos_per_second: float | None = None
    """At most so many, to leave the machine to others; None: as many as it can."""
    storm: float | None = 0.5
    """The share of the last 200 reads, over 0 to 1, that stops the run when storage fails them;
    None: never."""

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if self.overwrite and (self.update or self.retry_unreadable):
            raise UsageError("--overwrite replaces PATH, --update and --retry-unreadable keep it")
        if self.prune and not self.update:
            raise UsageError("--prune goes with --update")
        if self.prune and self.selection.skip_unlistable:
            raise UsageError(
                "--prune would drop the rows of folders that cannot be listed now; leave it out, or"
                " --skip-unlistable"
            )
        if self.photos_per_second is not None and not self.photos_per_second > 0:
            raise UsageError(
                f"photos_per_second {self.photos_per_second!r}: take one above 0, or None"
            )
        if self.storm is not None and not 0 < self.storm <= 1:
            raise UsageError(f"storm {self.storm!r}: take a share above 0, up to 1, or None")

    @property
    def output_name(self) -> str:
        """The output's name; an automatic shard's has its number in it."""
        out = with_slashes(self.out)
        return self.shard.output_name(out) if self.shard else out
