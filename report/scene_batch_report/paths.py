"""Where a row's path leads on this disk."""

from __future__ import annotations

import os


def absolute(path: str) -> str:
    """A path from the root, by the folder that it really lies in; the photo itself may be a link.

    ``..`` behind a link leads out of where the link leads, so it is not dropped by its text.
    """
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder or os.curdir), name)  # noqa: PTH118 - as bytes go
