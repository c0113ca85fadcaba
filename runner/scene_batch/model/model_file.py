"""A model file before it is opened: which one it is, and whether it is as it was written."""

from __future__ import annotations

import hashlib
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
    """A model file that is being read, in a thread of its own."""

    named: Path | None
    """As it was asked for; None: the embedded one."""
    sha256: str | None
    """What the sha256 of its bytes must be, in hex; None: whatever it is."""
    _reading: Future[FileDigest]

    @classmethod
    def begin(cls, named: Path | None, sha256: str | None = None) -> Self:
        """Begin to read; what is wrong with the file is raised by ``check``."""
        return cls(named, sha256, begin(lambda: read_digest(find_model(named))))

    def check(self) -> FileDigest:
        """The digest of a file that is the one asked for, and as it was written.

        Raises:
            ModelNotFoundError: It is not there.
            ModelError: It cannot be read, is damaged, or is another one.
        """
        path = find_model(self.named)
        try:
            digest = self._reading.result()
        except OSError as error:
            raise ModelError(
                f"{str(path)!r} cannot be read ({error.strerror}); check --model"
            ) from None
        if digest.fault:
            again = "install scene-batch again" if path == EMBEDDED else "copy or export it again"
            raise ModelError(
                f"{str(path)!r} is not an ONNX file or is damaged ({digest.fault}); {again}"
            )
        if self.sha256 is not None and self.sha256.lower() != digest.sha256:
            raise ModelError(
                f"{str(path)!r} has the sha256 {digest.sha256}, which is not that of"
                " --model-sha256; take the other file, or its sha256"
            )
        return digest

    def check_same(self) -> None:
        """Refuse a file that is not the one that was read any more; raises ModelError."""
        path = find_model(self.named)
        if file_state(path.stat()) != self._reading.result().state:
            raise ModelError(
                f"{str(path)!r} was replaced or written while it was read; run the command again"
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
