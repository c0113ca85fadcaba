"""A model file before it is opened: which one it is, and whether it is as it was written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scene_batch.errors import ModelError, ModelNotFoundError
from scene_batch.model.digest import FileDigest, file_state, read_digest
from scene_batch.threads import Future, begin

EMBEDDED = Path(__file__).parents[1] / "models" / "scenes.onnx"
"""The model that is used where none is named: six natural scenes."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file that is being read, and before that perhaps fetched, in threads of its own."""

    named: Path | str | None
    """As it was asked for, a URL without secrets; None: the embedded one."""
    sha256: str | None
    """What the sha256 of its bytes must be, in hex; None: whatever it is."""
    _reading: Future[FileDigest]
    _fetching: Future[tuple[Path, str]] | None = None

    @classmethod
    def begin(cls, named: Path | None, sha256: str | None = None) -> Self:
        """Begin to read; what is wrong with the file is raised by ``check``."""
        return cls(named, sha256, begin(lambda: read_digest(find_model(named))))

    @classmethod
    def fetched(
        cls, name: str, fetch: Callable[[], tuple[Path, str]], sha256: str | None = None
    ) -> Self:
        """Begin to fetch a file, and to read it then.

        Args:
            name: For messages.
            fetch: Returns where the file lies, and what the user should know of it.
            sha256: What the sha256 of its bytes must be.
        """
        fetching = begin(fetch)
        return cls(name, sha256, begin(lambda: read_digest(fetching.result()[0])), fetching)

    def find(self) -> Path:
        """Where the file lies, which is waited for; raises like ``find_model`` and the fetching."""
        if self._fetching is None:
            return find_model(self.named if isinstance(self.named, Path) else None)
        path, _ = self._fetching.result()
        if self._fetching.cancelled:
            raise ModelError(f"{self.name} is not waited for any more")
        return find_model(path)

    def wait(self) -> None:
        """Wait until the file is here, and serve signals meanwhile."""
        if self._fetching is not None:
            self._fetching.wait()

    def give_up(self) -> bool:
        """Do without a file that is still on its way: it is not opened; False: it is here."""
        if self._fetching is None:
            return False
        self._fetching.cancel()
        return not self._fetching.done()

    @property
    def name(self) -> str:
        """The file as messages name it."""
        return repr(str(EMBEDDED if self.named is None else self.named))

    @property
    def note(self) -> str:
        """What the user should know of a file that is here; may be empty."""
        return "" if self._fetching is None else self._fetching.result()[1]

    def check(self) -> FileDigest:
        """The digest of a file that is the one asked for, and as it was written.

        Raises:
            ModelNotFoundError: It is not there.
            ModelError: It cannot be read, is damaged, or is another one.
        """
        path = self.find()
        try:
            digest = self._reading.result()
        except OSError as error:
            raise ModelError(
                f"{self.name} cannot be read ({error.strerror}); check --model"
            ) from None
        if digest.fault:
            again = "install scene-batch again" if path == EMBEDDED else "copy or export it again"
            raise ModelError(
                f"{self.name} is not an ONNX file or is damaged ({digest.fault}); {again}"
            )
        if self.sha256 is not None and self.sha256.lower() != digest.sha256:
            raise ModelError(
                f"{self.name} has the sha256 {digest.sha256}, which is not that of"
                " --model-sha256; take the other file, or its sha256"
            )
        return digest

    def check_same(self) -> None:
        """Refuse a file that is not the one that was read any more; raises ModelError."""
        if file_state(self.find().stat()) != self._reading.result().state:
            raise ModelError(
                f"{self.name} was replaced or written while it was read; run the command again"
            )


def find_model(path: Path | None) -> Path:
    """The model file to use: the one named, or the embedded one.

    Raises:
        ModelNotFoundError: It is not there.
        ModelError: Its name is not UTF-8.
    """
    if path is None:
        if not EMBEDDED.is_file():
            raise ModelNotFoundError("this build has no embedded model; name one with --model")
        return EMBEDDED
    if any("\udc80" <= letter <= "\udcff" for letter in str(path)):
        raise ModelError(f"the name {str(path)!r} is not UTF-8, and ONNX Runtime needs it so")
    if path.is_dir():
        raise ModelError(f"{str(path)!r} is a folder, not a model file; name an .onnx file in it")
    if not path.is_file():
        raise ModelNotFoundError(f"no such model file: {str(path)!r}; check --model")
    return path


def sha256(path: Path) -> str:
    """The sha256 of a model file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
