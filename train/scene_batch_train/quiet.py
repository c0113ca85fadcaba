"""Keras imported without what TensorFlow, CUDA and oneDNN tell a terminal meanwhile."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own variable: who sets it wants to hear it."""
_NOTHING = "3"


def import_keras() -> None:
    """Import Keras and its backend, quietly unless the user has asked TensorFlow to speak."""
    if _LEVEL in os.environ:
        return
    os.environ[_LEVEL] = _NOTHING
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # not of its own way to trace functions
    with _unheard():
        import keras  # noqa: F401


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep what is written to standard error to ourselves, but for an error's sake.

    The libraries write by the descriptor, before any level is set.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            file.seek(0)
            os.write(kept, file.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
