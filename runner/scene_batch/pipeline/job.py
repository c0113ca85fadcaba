"""What a run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from scene_batch.sources.shard import Shard


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is asked to do."""

    sources: tuple[str, ...]
    out: str
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
    shard: Shard | None = None
    """The share of the photos to classify; None: all."""
    limit: int | None = None
    """Stop after this many photos."""
    workers: int | None = None
    """Threads that read and decode; None: as many as this process may use."""
    read_timeout: float = 60.0
    """Seconds after which a read that has not answered is a row ``timeout``."""
