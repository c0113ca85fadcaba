"""One share on one machine: the runner on a stretch of the photos, in a process of Ray's."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from scene_batch import __version__
from scene_batch.errors import (
    HungReadsError,
    Interrupted,
    OutputBusyError,
    SceneBatchError,
    StormError,
    UsageError,
)
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.object_store.address import is_url
from scene_batch.outputs.shared import check_plan, is_planned
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job

TELL_SECONDS = 1.0

Kind: TypeAlias = Literal["done", "not begun", "interrupted", "busy", "storm", "failed", "hopeless"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a machine is asked to do."""

    share: int
    attempt: int
    job: Job
    """Of the share: its span, its output, its threads."""
    out: str
    """The output of all shares, beside which their plan lies."""
    run: str
    """The id of that plan."""
    photos: int
    """How many there were when the plan was made."""
    model_sha256: str
    version: str = __version__


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    kind: Kind
    machine: str
    cause: str = ""
    photos: int = 0
    seconds: float = 0.0
    provider: str = ""
    trace: str = ""
    """Where an error was raised that nobody foresaw."""


Tell: TypeAlias = Callable[[Tally], None]


class HopelessError(SceneBatchError):
    """No machine will do better."""


class _Front:
    """Tells the driver now and then how far a share is."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._told = tell, 0.0

    def note(self, text: str) -> None:
        """Say nothing: the driver speaks."""

    def update(self, tally: Tally) -> None:
        """Tell how far it is."""
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            self._tell(tally)


def run_share(order: Order, model: bytes, tell: Tell) -> Outcome:
    """Classify a share, or what is left of it; what goes wrong is in the outcome.

    Args:
        order: What to do.
        model: The model file.
        tell: Is told now and then how far it is.
    """
    machine, begun = platform.node(), time.monotonic()
    try:
        with Interruption() as interruption:
            return _run(order, model, tell, interruption)
    except Interrupted:
        return Outcome("interrupted", machine)
    except OutputBusyError as error:
        return Outcome("busy", machine, str(error))
    except (StormError, HungReadsError) as error:
        return Outcome("storm", machine, str(error))
    except (HopelessError, UsageError) as error:
        return Outcome("hopeless", machine, str(error))
    except SceneBatchError as error:
        return Outcome("failed", machine, str(error), seconds=time.monotonic() - begun)
    except Exception as error:  # noqa: BLE001 - shown by the driver, with its trace
        cause = f"{type(error).__name__}: {error}"
        return Outcome("failed", machine, cause, trace=traceback.format_exc())


def _run(order: Order, model: bytes, tell: Tell, interruption: Interruption) -> Outcome:
    machine, begun = platform.node(), time.monotonic()
    if order.version != __version__:
        raise HopelessError(
            f"{machine} has scene-batch {__version__}, the command is of {order.version}: install"
            " the same everywhere"
        )
    _check_shared(order, machine)
    with interruption.held_off():
        predictor = _predictor(order.model_sha256, order.job.compute, order.job.top_k, model)
        from scene_batch.pipeline.run import run
    job = replace(order.job, about={"attempts": order.attempt, "machine": machine})
    check_plan(order.out, order.run)
    record = run(job, predictor, _Front(tell), interruption)
    if not record.photos and order.photos:
        raise HopelessError(
            f"{machine} finds none of the {order.photos} photos of share {order.share}: every"
            " machine must see the sources: name a bucket, or a folder that all share"
        )
    return Outcome(
        "done",
        machine,
        photos=record.photos,
        seconds=time.monotonic() - begun,
        provider=f"{record.provider} in {record.settings['precision']}",
    )


def _check_shared(order: Order, machine: str) -> None:
    """Refuse an output on a disk that not all machines share; in time there is no plan, either."""
    if not is_url(order.out) and not is_planned(order.out):
        raise HopelessError(
            f"{machine} does not see {order.out!r}.parts: the output must be in a bucket, or in a"
            " folder that all machines share"
        )


@lru_cache(maxsize=1)
def _opened(sha256: str, compute: ComputeOptions, top_k: int | None, path: Path) -> Predictor:
    from scene_batch.model.model_file import ModelFile

    return Predictor.open(ModelFile.begin(path, sha256), compute, top_k=top_k)


def _predictor(sha256: str, compute: ComputeOptions, top_k: int | None, model: bytes) -> Predictor:
    """The model, opened once in a process, which may run many shares."""
    return _opened(sha256, compute, top_k, _on_disk(sha256, model))


def _on_disk(sha256: str, model: bytes) -> Path:
    """The model as a file, written once on a machine for all processes of a user."""
    user = os.getuid() if hasattr(os, "getuid") else os.getlogin()
    folder = Path(tempfile.gettempdir()) / f"scene-batch-models-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{sha256}.onnx"
    with suppress(OSError), path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
            return path
    partial = folder / f"{sha256}.{os.getpid()}.partial"
    partial.write_bytes(model)
    partial.replace(path)
    return path
