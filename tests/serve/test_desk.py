"""Whether the server is well: what unreadable photos must not say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from scene_batch.pipeline.live import Answer, Live, Tell
from scene_batch.records import ClassProbability, ImageRef, Prediction, Unreadable
from scene_batch_serve.desk import FAILURES, Desk, given

_PHOTO = ImageRef("a.png")
_BROKEN = Unreadable(_PHOTO, "corrupt", "no photo")
_CLASS = Prediction(_PHOTO, (ClassProbability("red", 1.0),))


class _Threads:
    """Threads that give one answer."""

    most = 64

    def __init__(self) -> None:
        self.answer: Answer = _CLASS

    def submit(self, items: Sequence[Any], tells: Sequence[Tell], top_k: int) -> bool:
        for tell in tells:
            tell(self.answer)
        return True


def test_unreadable_photos_do_not_make_a_model_well_that_fails() -> None:
    threads = _Threads()
    desk = Desk(cast("Live", threads))

    def ask(answer: Answer) -> None:
        threads.answer = answer
        asyncio.run(desk.rows([given(b"")], 1))

    for _ in range(FAILURES):
        with pytest.raises(ValueError, match="ill"):
            ask(ValueError("ill"))
        ask(_BROKEN)
    assert not desk.is_well
    ask(_CLASS)
    assert desk.is_well
