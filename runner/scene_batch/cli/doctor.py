"""The command ``doctor``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scene_batch.cli.terminal import say
from scene_batch.errors import SceneBatchError, UsageError

if TYPE_CHECKING:
    from scene_batch.outputs.ledger import Ledger

PACKAGES = ("scene-batch", "numpy", "pillow", "pyarrow", "obstore", "click", "tqdm")


@click.command("doctor")
@click.option(
    "--folder",
    default=".",
    help="Where outputs will go, also in a bucket.  [default: the working directory]",
)
def command(folder: str) -> None:
    """Say what is installed here, what a run would use, and what is wrong.

    Exit code 1 when something is wrong.

    \b
    Example:
      scene-batch doctor
    """
    wrong = 0
    for name, check in CHECKS.items():
        try:
            for line in check(folder):
                say(f"{name}: {line}")
        except (SceneBatchError, OSError, ImportError) as error:
            wrong += 1
            say(f"{name}: WRONG: {error}")
    say(f"{wrong} of {len(CHECKS)} checks failed" if wrong else "all is well")
    if wrong:
        raise click.exceptions.Exit(1)


def _versions(_: str) -> Iterator[str]:
    yield f"python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _runtime(_: str) -> Iterator[str]:
    from scene_batch.model.runtime import installed_flavours, load_runtime

    runtime = load_runtime()
    yield f"{', '.join(installed_flavours()) or 'onnxruntime'} {runtime.__version__}"
    yield f"providers {', '.join(runtime.get_available_providers())}"


def _cpus(_: str) -> Iterator[str]:
    from scene_batch.processors import usable_cpus

    yield f"{usable_cpus()} usable of the host's {os.cpu_count()} (affinity and quota)"


def _memory(_: str) -> Iterator[str]:
    from scene_batch.memory import photo_memory, usable_memory

    photos, usable = photo_memory(), usable_memory()
    yield (
        f"{photos.decoding // 10**6} MB for decoding, of {usable // 10**6} MB"
        " (the machine's, or its container's limit)"
    )


def _folder(folder: str) -> Iterator[str]:
    from scene_batch.object_store.address import Address, is_url, shown
    from scene_batch.outputs.ledger import Ledger
    from scene_batch.outputs.room import free, refuse_full_disk
    from scene_batch.outputs.storage import open_storage

    if is_url(folder):
        if not Address.parse(folder).is_listable:
            raise UsageError(f"{shown(folder)!r}: tables go into folders and buckets alone")
        name = f"{folder.rstrip('/')}/scene-batch-doctor-{uuid.uuid4().hex}.parquet"
        _begin_and_remove(Ledger(open_storage(name)))
        yield f"{shown(folder)!r} takes tables: it was listed, written to and deleted from"
        return
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        name = os.path.join(inside, "preds.parquet")  # noqa: PTH118 - a name
        _begin_and_remove(Ledger(open_storage(name)))
    refuse_full_disk(Path(folder))
    room = free(Path(folder))
    more = "" if room is None else f"; {room // 10**6} MB are free there"
    yield f"{str(Path(folder).resolve())!r} takes tables, locks and all{more}"


def _begin_and_remove(opened: Ledger) -> None:
    with opened as ledger:
        ledger.begin({})
        ledger.remove_if_ours()


def _model(_: str) -> Iterator[str]:
    from scene_batch.errors import ModelError
    from scene_batch.model import golden
    from scene_batch.model.predictor import Predictor

    predictor = Predictor.open()
    results = golden.check(predictor)
    passed = sum(result.passed for result in results)
    if passed < len(results):
        raise ModelError(
            f"the embedded model gives other classes or probabilities here for"
            f" {len(results) - passed} of {len(results)} golden photos; see: scene-batch verify"
        )
    card = predictor.card
    yield f"{card.name} {card.version} ({card.precision}) computes here what was exported"
    session = predictor.session
    yield f"a run takes provider {session.provider}, {session.threads} threads"
    if session.note:
        yield session.note


CHECKS: dict[str, Callable[[str], Iterator[str]]] = {
    "versions": _versions,
    "onnxruntime": _runtime,
    "cpus": _cpus,
    "memory": _memory,
    "folder": _folder,
    "model": _model,
}
"""Checks by name: each yields what it finds, or raises what is wrong, with the remedy."""
