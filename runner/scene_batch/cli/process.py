"""What a process that classifies photos sets first."""

from __future__ import annotations

import logging
import os
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


_BELOW_NORMAL, _IDLE = 0x4000, 0x40
"""Windows' priority classes (processthreadsapi.h)."""
_HALF = 10


def give_way(nice: int) -> None:
    """Let other processes go first; threads that begin later do so, too.

    Args:
        nice: 1 to 19, as nice(1) has it; Windows knows two classes, and takes the lower from 10 on.
    """
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(
            kernel.GetCurrentProcess(), _IDLE if nice >= _HALF else _BELOW_NORMAL
        )
    else:
        os.nice(nice)
