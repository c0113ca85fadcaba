"""What a process that classifies photos sets first."""

from __future__ import annotations

import logging
import sys
import warnings

_SWITCH_SECONDS = 0.0005
"""How long a thread may run Python while others wait for their turn; Python's default is 5 ms."""


def prepare_process() -> None:
    """Silence Pillow, and let threads that return from a decoder wait less for their turn."""
    # Its warnings are not needed: a photo that could not be read has a row that says so.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    sys.setswitchinterval(_SWITCH_SECONDS)
