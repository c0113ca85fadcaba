"""The one way to ask a store: again where that may help, without panics, and not for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from scene_batch.object_store.causes import PanicError, cause_of
from scene_batch.threads import begin

Answer = TypeVar("Answer")

RETRY_SECONDS = 60.0
"""So long after the first attempt the last one may begin: a store's bad minute."""
FIRST_SECONDS = 3.0
"""The same for what is asked before any work."""
_SILENT_SECONDS = 300.0
"""obstore ends an attempt much sooner; where it does not, the request is given up."""
_SLOWEST_BYTES = 64 << 10
"""A second, of what is put or fetched."""


def ask(
    request: Callable[[], Answer], *, seconds: float = RETRY_SECONDS, size_bytes: int = 0
) -> Answer:
    """Ask a store in a thread, so that signals are served while it is silent.

    Args:
        request: Asks with obstore, and may do so again.
        seconds: For attempts, as in ``ask_here``.
        size_bytes: Of what is put or fetched: it may take its time.

    Raises:
        TimeoutError: It did not answer at all.
        Exception: What the last attempt raised; ``cause_of`` tells what it means.
    """
    limit = seconds + _SILENT_SECONDS + size_bytes / _SLOWEST_BYTES
    return begin(lambda: ask_here(request, seconds=seconds)).result(limit)


def ask_here(request: Callable[[], Answer], *, seconds: float = RETRY_SECONDS) -> Answer:
    """Ask a store in this thread, which has a time limit of its own.

    What fails with a cause that may pass is asked again: exponential backoff with full jitter.

    Args:
        request: Asks with obstore, and may do so again.
        seconds: No attempt begins later than that after the first.

    Raises:
        Exception: What the last attempt raised; ``cause_of`` tells what it means.
    """
    from tenacity import Retrying, retry_if_exception, stop_before_delay
    from tenacity import wait_random_exponential as backoff

    again = Retrying(
        retry=retry_if_exception(lambda error: cause_of(error).may_pass),
        stop=stop_before_delay(seconds),
        wait=backoff(multiplier=0.1, max=min(5.0, seconds / 6)),
        reraise=True,
    )
    with no_panics():
        return again(request)


@contextmanager
def no_panics() -> Iterator[None]:
    """Turn a panic of obstore's, which is no ``Exception``, into an error.

    Raises:
        PanicError: There was one.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise PanicError("the library cannot make such a request; check the name") from None
