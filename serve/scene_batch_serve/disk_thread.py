"""Work on a disk, away from the event loop, in a thread for which the end of the process waits not.

``asyncio.to_thread`` would: a network disk that hangs would keep the process for ever.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


async def in_thread(work: Callable[[], None]) -> None:
    """Do it in a thread of its own; raise what it raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error = None
        try:
            work()
        except BaseException as raised:  # noqa: BLE001 - told to the request
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(end, error)

    threading.Thread(target=run, name="scene-batch-disk", daemon=True).start()
    await done
