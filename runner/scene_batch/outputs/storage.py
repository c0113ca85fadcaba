"""Where an output lies: on a disk or in an object store, the same to all that write it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scene_batch.errors import OutputError, SceneBatchError
from scene_batch.object_store.address import is_url
from scene_batch.outputs.local_storage import LocalStorage

if TYPE_CHECKING:
    from scene_batch.tables.seal import ParquetSource


class Storage(Protocol):
    """One output: its table, and the folder beside it, ``PATH.parts/``, where it is built.

    Every method may raise ``OSError`` or ``OutputError``.
    """

    name: str
    """The output as typed."""
    folder: str
    """The folder, as a message names it."""
    scratch: Path
    """A local folder for files that are being written."""
    is_exclusive: bool
    """Whether ``hold`` keeps other processes off; else only ``create`` notices them."""

    def check(self) -> None:
        """Refuse an output that cannot be written, or whose name belongs to something else."""

    def exists(self) -> bool:
        """Whether the table is there."""

    def hold(self) -> None:
        """Make the folder, and keep other processes off it where that can be done."""

    def release(self) -> None:
        """Let other processes use the folder."""

    def names(self, below: str = "") -> list[str]:
        """What is in the folder, or in one inside it, sorted; empty where that is missing."""

    def read(self, name: str) -> str | None:
        """A small file of the folder; None where it is missing."""

    def write(self, name: str, text: str) -> None:
        """Write a small file so that it is there whole or not at all."""

    def create(self, name: str, file: Path) -> None:
        """Move a closed file into the folder; if the name is taken, another process writes."""

    def replace(self, name: str, file: Path) -> None:
        """Move a closed file into the folder in the place of one of that name."""

    def parquet(self, name: str) -> ParquetSource:
        """A Parquet file of the folder, for pyarrow."""

    def delete(self, names: Sequence[str]) -> None:
        """Delete files of the folder, one after the other; some may be gone already."""

    def discard(self) -> None:
        """Delete what is left of the folder; last the file that says that the run is finished."""

    def is_published(self) -> bool:
        """Whether the finished run's table has its name, and only the folder is still there."""

    def delete_unrecorded(self) -> None:
        """Delete published parts of a data set whose record was never written."""

    def publish_file(self, whole: Path, record: str) -> None:
        """Give a file and the record beside it their names; safe to do again."""

    def publish_data_set(self, parts: Sequence[str], record: str) -> None:
        """Make parts of the folder and the record the data set; safe to do again."""

    def publish_shares(self, parts: Mapping[str, str], record: str) -> None:
        """Make parts of folders inside the folder the data set, by new names; safe to do again."""

    def delete_shares(self) -> None:
        """Delete all folders inside the folder."""


def open_storage(name: str) -> Storage:
    """The storage of an output by its name.

    Raises:
        UsageError: It is a URL that cannot be opened.
        StoreError: The environment does not say how to open it.
    """
    if not is_url(name):
        return LocalStorage(name)
    from scene_batch.outputs.remote_storage import RemoteStorage

    return RemoteStorage(name)


@contextmanager
def telling(name: str) -> Iterator[None]:
    """Turn an error of the disk into an ``OutputError`` that names the output."""
    try:
        yield
    except SceneBatchError:  # some of these are OSErrors, too
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write {name!r}: {error.strerror or error}; mend that, and the same command"
            " continues"
        ) from error
