"""An output in an object store: parts are put whole, and the table appears when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from scene_batch.errors import OutputBusyError, OutputError
from scene_batch.object_store.address import Address
from scene_batch.object_store.asking import FIRST_SECONDS, ask
from scene_batch.object_store.causes import cause_of
from scene_batch.object_store.stores import Stores
from scene_batch.read_ahead import read_ahead
from scene_batch.scratch import Scratch
from scene_batch.tables.names import FINISHED, JOB, RECORD, RECORD_ENDING, is_part
from scene_batch.tables.run_record import is_record
from scene_batch.threads import Pool

if TYPE_CHECKING:
    import pyarrow as pa

Answer = TypeVar("Answer")

_AT_ONCE = 16
"""Requests of a kind that are on their way side by side."""
MULTIPART_BYTES = 32 << 20
"""A larger file is put in pieces of this size; the object appears when its last piece is there."""


class RemoteStorage:
    """The storage of an output in a bucket; nothing of it is kept on this machine.

    There is no lock: a part is put only if none has its name yet, so of two writers one stops.

    Raises:
        StoreError: The environment does not say how to open it.
    """

    def __init__(self, name: str) -> None:
        address = Address.parse(name)
        self.name = name
        self.is_exclusive = False
        self._is_data_set = name.endswith("/")
        self._key = address.key
        self.folder = f"{address.root}/{address.key}.parts"
        stores = Stores()
        self._first = stores.open(address, "short")
        self._store = stores.open(address, "long")
        self.scratch = Path()
        self._held: Scratch | None = None

    def check(self) -> None:
        """Refuse a folder that cannot be read soon, or that holds what no run wrote."""
        with self._telling("read"):
            ask(lambda: self._first.list_with_delimiter(self._folder_key), seconds=FIRST_SECONDS)
        if not self._is_data_set:
            record = self._get(f"{self._key}{RECORD_ENDING}")
            if record is not None and not is_record(record):
                name = f"{self.name}{RECORD_ENDING}"
                raise OutputError(f"{name!r} is no run's record; move it, or name another output")
            return
        there = self._list(self._key)
        strange = [name for name in there if not (is_part(name) or name == RECORD)]
        if there and RECORD not in there and not self.names():  # parts that no run here put there
            strange += there
        if strange:
            raise OutputError(
                f"{self.name!r} holds {strange[0]!r} and is no data set of scene-batch run;"
                " name another"
            )

    def exists(self) -> bool:
        """Whether the table is there; a data set is there once its record is."""
        key = f"{self._key}/{RECORD}" if self._is_data_set else self._key
        return self._ask_for(lambda: self._store.head(key)) is not None

    def hold(self) -> None:
        """Make the scratch folder; a store has no lock to hold, see ``create``."""
        self._held = Scratch()
        self.scratch = self._held.path

    def release(self) -> None:
        """Delete the scratch folder."""
        if self._held is not None:
            self._held.remove()
            self._held = None

    def names(self, below: str = "") -> list[str]:
        """What is in the folder, or in one inside it, sorted; empty where that is missing."""
        return self._list(f"{self._folder_key}/{below}".rstrip("/"))

    def read(self, name: str) -> str | None:
        """A small file of the folder; None where it is missing."""
        data = self._get(f"{self._folder_key}/{name}")
        return None if data is None else data.decode()

    def write(self, name: str, text: str) -> None:
        """Write a small file so that it is there whole or not at all."""
        self._put(f"{self._folder_key}/{name}", text.encode())

    def create(self, name: str, file: Path) -> None:
        """Put a file, unless there is one of that name.

        Raises:
            OutputBusyError: There is another one: another process writes.
        """
        from obstore.exceptions import AlreadyExistsError

        key, data = f"{self._folder_key}/{name}", file.read_bytes()
        store = self._first if name == JOB else self._store  # the first write is soon refused
        try:
            self._ask("write", lambda: store.put(key, data, mode="create", use_multipart=False))
        except AlreadyExistsError:
            # Ours, if the answer to an earlier attempt was lost.
            if self._get(key) != data:
                raise OutputBusyError.being_written(
                    self.name, f": it has put {name!r} there"
                ) from None
        file.unlink()

    def replace(self, name: str, file: Path) -> None:
        """Put a file in the place of the one of that name."""
        self._put(f"{self._folder_key}/{name}", file)
        file.unlink()

    def parquet(self, name: str) -> pa.BufferReader:
        """A Parquet file of the folder, in memory: parts are small.

        Raises:
            OutputError: It is not there.
        """
        import pyarrow as pa

        data = self._get(f"{self._folder_key}/{name}")
        if data is None:
            raise OutputError(f"{name!r} in {self.folder!r} is gone; was another run there?")
        return pa.BufferReader(data)

    def delete(self, names: Sequence[str]) -> None:
        """Delete files of the folder, one after the other."""
        self._delete([f"{self._folder_key}/{name}" for name in names])

    def discard(self) -> None:
        """Delete the last file, which says that the run is finished: a store has no folders."""
        self.delete([FINISHED])

    def is_published(self) -> bool:
        """Whether a finished run has begun to clear away, which deletes the job first."""
        return self.read(JOB) is None and self.read(FINISHED) is not None

    def delete_unrecorded(self) -> None:
        """Delete published parts of a data set whose record was never written."""
        there = self._list(self._key) if self._is_data_set else []
        if RECORD not in there:
            self._delete([f"{self._key}/{name}" for name in there if is_part(name)])

    def publish_file(self, whole: Path, record: str) -> None:
        """Put the record, then the table, which appears when all of it is there."""
        self._put(f"{self._key}{RECORD_ENDING}", record.encode())
        self._put(self._key, whole)

    def publish_data_set(self, parts: Sequence[str], record: str) -> None:
        """Copy the parts within the store, then put the record: with it the data set is whole."""
        self.publish_shares({part: part for part in parts}, record)

    def publish_shares(self, parts: Mapping[str, str], record: str) -> None:
        """Copy parts within the store, by their new names, then put the record: it is whole."""
        there, new = self._list(self._key), {*parts.values()}
        old = [name for name in there if name == RECORD]
        old += [name for name in there if is_part(name) and name not in new]
        self._delete([f"{self._key}/{name}" for name in old])

        def copy(part: str) -> None:
            source, target = f"{self._folder_key}/{part}", f"{self._key}/{parts[part]}"
            self._ask("write", partial(self._store.copy, source, target))

        self._side_by_side(copy, parts)
        self._put(f"{self._key}/{RECORD}", record.encode())

    def delete_shares(self) -> None:
        """Delete all keys with a slash in what is in the folder."""
        keys = [f"{self._folder_key}/{name}" for name in self.names() if "/" in name]
        self._side_by_side(lambda key: self._delete([key]), keys)

    def _side_by_side(self, call: Callable[[str], None], items: Iterable[str]) -> None:
        with Pool(_AT_ONCE) as pool:
            begin = lambda item: pool.submit(lambda: call(item))  # noqa: E731
            for _ in read_ahead(begin, items, depth=2 * _AT_ONCE):
                pass

    @property
    def _folder_key(self) -> str:
        return f"{self._key}.parts"

    def _list(self, prefix: str) -> list[str]:
        def keys() -> list[str]:
            pages = self._store.list(prefix, chunk_size=1000)
            return [meta["path"] for page in pages for meta in page]

        found = self._ask("read", keys)
        return sorted(key.removeprefix(f"{prefix}/") for key in found if key != prefix)

    def _get(self, key: str) -> bytes | None:
        return self._ask_for(lambda: bytes(self._store.get(key).bytes()))

    def _put(self, key: str, data: bytes | Path) -> None:
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        put = partial(
            self._store.put,
            key,
            data,
            use_multipart=size > MULTIPART_BYTES,
            chunk_size=MULTIPART_BYTES,
            max_concurrency=2,
        )
        self._ask("write", put, size)

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._ask_for(partial(self._store.delete, key), "write")

    def _ask_for(self, request: Callable[[], Answer], verb: str = "read") -> Answer | None:
        """Ask the store; None if the object is missing."""

        def request_or_none() -> Answer | None:
            try:
                return request()
            except FileNotFoundError as error:
                if cause_of(error).kind != "missing":
                    raise
                return None

        return self._ask(verb, request_or_none)

    def _ask(self, verb: str, request: Callable[[], Answer], size: int = 0) -> Answer:
        with self._telling(verb):
            return ask(request, size_bytes=size)

    @contextmanager
    def _telling(self, verb: str) -> Iterator[None]:
        """Turn any error of the store but AlreadyExistsError into a message of one line."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except AlreadyExistsError:
            raise
        except (BaseError, FileNotFoundError, TimeoutError) as error:
            raise OutputError(
                f"cannot {verb} {self.name!r}: {cause_of(error).text}; then the same command"
                " continues"
            ) from None
