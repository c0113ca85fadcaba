"""What prevents or stops a whole job; the problems of one photo are ``Unreadable`` values.

::

    SceneBatchError                      exit code 1
    ├── UsageError                       exit code 2: wrong in itself, whatever is on the disk
    ├── SourceError                      photos cannot be listed
    │   └── SourceNotFoundError          (FileNotFoundError)
    ├── OutputError                      the table cannot be written
    │   └── OutputExistsError            (FileExistsError)
    ├── ModelError                       the model file is refused
    │   └── ModelNotFoundError           (FileNotFoundError)
    ├── RuntimeMissingError              ONNX Runtime is missing or installed twice
    ├── ProviderError                    the execution provider asked for does not run here
    ├── AccountingError                  photos found and rows written differ: a defect
    ├── TrainingError                    training data or a training run cannot be used
    └── ParityError                      an exported model does not compute what was trained
"""

from __future__ import annotations


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


class OutputError(SceneBatchError):
    """The table cannot be written."""


class OutputExistsError(OutputError, FileExistsError):
    """The output is already there."""


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


class TrainingError(SceneBatchError):
    """Training data, a config or a training run cannot be used."""


class ParityError(SceneBatchError):
    """An exported model does not compute what was trained."""
