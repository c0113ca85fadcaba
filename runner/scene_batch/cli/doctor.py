"""The command ``doctor``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from scene_batch.cli.terminal import say
from scene_batch.errors import SceneBatchError

PACKAGES = ("scene-batch", "numpy", "pillow", "pyarrow", "obstore", "click", "tqdm")


@click.command("doctor")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where outputs will go.  [default: the working directory]",
)
def command(folder: Path) -> None:
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


def _versions(_: Path) -> Iterator[str]:
    yield f"python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _runtime(_: Path) -> Iterator[str]:
    from scene_batch.model.runtime import installed_flavours, load_runtime

    runtime = load_runtime()
    yield f"{', '.join(installed_flavours()) or 'onnxruntime'} {runtime.__version__}"
    yield f"providers {', '.join(runtime.get_available_providers())}"


def _cpus(_: Path) -> Iterator[str]:
    from scene_batch.processors import usable_cpus

    yield f"{usable_cpus()} usable of the host's {os.cpu_count()} (affinity and quota)"


def _folder(folder: Path) -> Iterator[str]:
    from scene_batch.outputs.ledger import Ledger
    from scene_batch.outputs.storage import open_storage

    with tempfile.TemporaryDirectory(dir=folder) as inside:
        name = os.path.join(inside, "preds.parquet")  # noqa: PTH118 - a name
        with Ledger(open_storage(name)) as ledger:
            ledger.begin({})
    yield f"{str(folder.resolve())!r} takes tables, locks and all"


def _model(_: Path) -> Iterator[str]:
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


CHECKS: dict[str, Callable[[Path], Iterator[str]]] = {
    "versions": _versions,
    "onnxruntime": _runtime,
    "cpus": _cpus,
    "folder": _folder,
    "model": _model,
}
"""Checks by name: each yields what it finds, or raises what is wrong, with the remedy."""
