"""Where the rows of a run go: a table, or standard output."""

from __future__ import annotations

from collections.abc import Callable

from scene_batch.outputs.name import STANDARD_OUTPUT, check_name
from scene_batch.outputs.plan import Plan
from scene_batch.outputs.saved import SavedOutput
from scene_batch.outputs.streamed import StreamedOutput

Output = SavedOutput | StreamedOutput


def open_output(
    name: str,
    plan: Plan,
    *,
    overwrite: bool = False,
    restart: bool = False,
    at_the_end: Callable[[], None] = lambda: None,
) -> Output:
    """Open the table of a run, to be entered; then a run that was broken off is continued.

    Args:
        name: Its path, which decides the format, or ``-``: JSON Lines on standard output.
        plan: All that decides the rows.
        overwrite: Replace a table that is there.
        restart: Throw away what an unfinished run left.
        at_the_end: Called before the last step, which should not be broken off: behind it the same
            command would find nothing to continue.

    Raises:
        UsageError: The name ends in no known suffix.
        OutputError: It cannot be written; entering it may raise more.
    """
    check_name(name)
    if name == STANDARD_OUTPUT:
        return StreamedOutput(plan.classes)
    return SavedOutput(name, plan, overwrite=overwrite, restart=restart, at_the_end=at_the_end)
