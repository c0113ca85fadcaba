"""What prevents or stops a whole job; the problems of one photo are ``Unreadable`` values.

::

    SceneBatchError                      exit code 1
    ├── UsageError                       exit code 2: wrong in itself, whatever is on the disk
    ├── SourceError                      photos cannot be listed
    │   ├── SourceNotFoundError          (FileNotFoundError)
    │   ├── HungReadsError               storage does not answer
    │   └── StormError                   most reads fail
    ├── OutputError                      the table cannot be written
    │   ├── OutputExistsError            (FileExistsError)
    │   ├── OutputBusyError              another process writes it
    │   └── LedgerError                  an unfinished run of another job lies there
    │       └── DamagedPartError         a part of it is damaged: it is computed again
    ├── TableError                       a table is missing, or no run wrote it
    ├── StoreError                       an object store cannot be opened or does not answer
    ├── ModelError                       the model file is refused
    │   └── ModelNotFoundError           (FileNotFoundError)
    ├── RuntimeMissingError              ONNX Runtime is missing or installed twice
    ├── ProviderError                    the execution provider asked for does not run here
    ├── AccountingError                  photos found and rows written differ: a defect
    ├── TrainingError                    training data or a training run cannot be used
    └── ParityError                      an exported model does not compute what was trained

    Interrupted (BaseException)          SIGINT or SIGTERM, exit code 128 + its number
"""

from __future__ import annotations

from typing import Self

_REPORT_IT = ": this is a defect of scene-batch, please report it; no table was written"


class SceneBatchError(Exception):
    """Anything a user can mend: its text is one line that names the remedy."""

    exit_code = 1


class UsageError(SceneBatchError):
    """The command or its config is wrong in itself."""

    exit_code = 2


class SourceError(SceneBatchError):
    """The photos cannot be listed."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """A source as typed does not exist."""


class HungReadsError(SourceError):
    """As many reads hang as there are threads that read: the storage does not answer."""

    def __init__(self, reads: int, seconds: float) -> None:
        super().__init__(
            f"{reads} reads have not answered for {seconds:g} s each: check the disk or the"
            " network; the same command continues"
        )


class StormError(SourceError):
    """So many reads fail that the storage is at fault, not the photos."""


class OutputError(SceneBatchError):
    """The table cannot be written."""


class OutputExistsError(OutputError, FileExistsError):
    """The output is already there."""

    def __init__(
        self,
        name: str,
        remedy: str = "; replace it with --overwrite",
        state: str = "is already there",
    ) -> None:
        super().__init__(f"{name!r} {state}{remedy}")


class OutputBusyError(OutputError):
    """Another process writes this output."""

    @classmethod
    def being_written(cls, name: str, sign: str = "") -> Self:
        """Name the output; ``sign`` tells how the other process was noticed."""
        return cls(f"another process is writing {name!r}{sign}; wait for it or name another output")


class LedgerError(OutputError):
    """Beside the output lies an unfinished run of another job, or one that cannot be read."""


class DamagedPartError(LedgerError):
    """A saved part is damaged, or does not follow the one before it."""

    def __init__(self, part: str, what: str) -> None:
        super().__init__(f"{part!r} {what}; the same command computes its rows again")


class TableError(SceneBatchError):
    """A table is missing, or no run wrote it."""


class StoreError(SceneBatchError):
    """An object store cannot be opened as the environment says, or does not answer."""


class ModelError(SceneBatchError):
    """The model file is refused."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """The model file does not exist."""


class RuntimeMissingError(SceneBatchError):
    """ONNX Runtime is missing, or two flavours of it are installed over each other."""


class ProviderError(SceneBatchError):
    """The execution provider that was asked for does not run here."""


class AccountingError(SceneBatchError):
    """Photos found and rows written differ: a defect of scene-batch."""

    def __init__(self, what: str, remedy: str = _REPORT_IT) -> None:
        super().__init__(f"{what}{remedy}")


class TrainingError(SceneBatchError):
    """Training data, a config or a training run cannot be used."""


class ParityError(SceneBatchError):
    """An exported model does not compute what was trained."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM came; not an ``Exception``, so that no ``except Exception`` catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number
