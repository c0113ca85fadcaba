"""The one way to ask a store: with retries, with a time limit, and with panics made into errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from scene_batch.object_store.causes import PanicError, cause_of
from scene_batch.threads import begin

Answer = TypeVar("Answer")

RETRY_SECONDS = 60.0
"""How long after the first attempt the last one may begin: a store may have a bad minute."""
FIRST_SECONDS = 3.0
"""The same for what is asked before any work."""
_SILENT_SECONDS = 300.0
"""obstore ends an attempt much sooner; if it does not, the request is given up."""
_SLOWEST_BYTES = 64 << 10
"""Bytes per second that are waited for when something is put or fetched."""


def ask(
    request: Callable[[], Answer], *, seconds: float = RETRY_SECONDS, size_bytes: int = 0
) -> Answer:
    """``ask_here`` in another thread, so that signals are served while the store is silent.

    ``size_bytes`` of what is put or fetched make the time limit longer.

    Raises:
        TimeoutError: The store did not answer at all.
        Exception: What the last attempt raised; ``cause_of`` tells what it means.
    """
    limit = seconds + _SILENT_SECONDS + size_bytes / _SLOWEST_BYTES
    return begin(lambda: ask_here(request, seconds=seconds)).result(limit)


def ask_here(request: Callable[[], Answer], *, seconds: float = RETRY_SECONDS) -> Answer:
    """Ask a store in this thread, for callers that have a time limit of their own.

    ``request`` is called again while it fails with a cause that may pass, but not later than
    ``seconds`` after the first attempt: exponential backoff with full jitter.

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
    """Turn a panic of obstore, which is no ``Exception``, into a ``PanicError``."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise PanicError("the library cannot make such a request; check the name") from None
