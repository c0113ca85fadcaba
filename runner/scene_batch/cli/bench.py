"""The command ``bench``."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scene_batch.cli.config import config_option
from scene_batch.cli.options import model_option, provider_option, sha256_option
from scene_batch.cli.process import prepare_process
from scene_batch.cli.terminal import complain, say
from scene_batch.errors import OutputExistsError, UsageError
from scene_batch.model.compute_options import ComputeOptions, Provider
from scene_batch.object_store.address import shown
from scene_batch.pipeline.named_model import begin_model, is_remote

if TYPE_CHECKING:
    from scene_batch.pipeline.bench import Measured, Setting
    from scene_batch.records import ImageRef

MOST_PHOTOS = 500
"""Photos that are used: as many as stay in the system's cache."""
_MADE, _MADE_SIZE = 24, (640, 480)


@click.command("bench")
@click.argument("photos", required=False)
@model_option
@sha256_option
@provider_option
@click.option("--bf16", is_flag=True, help="Compute an fp32 model in bfloat16: openvino only.")
@click.option(
    "--seconds",
    type=click.FloatRange(5, 3600),
    default=50,
    show_default=True,
    help="How long to measure, about.",
)
@click.option("--write", type=click.Path(path_type=Path), help="Write a config for run: job.toml.")
@click.option("--overwrite", is_flag=True, help="Replace the config if it is there.")
@config_option
def command(
    photos: str | None,
    model: str | None,
    model_sha256: str | None,
    provider: Provider,
    bf16: bool,
    seconds: float,
    write: Path | None,
    overwrite: bool,
) -> None:
    """Measure this device: which provider, batch size and threads are the fastest for a model.

    PHOTOS is a directory, a file or an @list of photos such as yours; without it some are made
    up, and the figures say little of reading and decoding. What is measured are runs, without a
    table.

    \b
    Examples:
      scene-batch bench ./seg_pred
      scene-batch bench ./seg_pred --write job.toml
      scene-batch run ./seg_pred --out preds.parquet --config job.toml
    """
    if write is not None and write.exists() and not overwrite:
        raise OutputExistsError(str(write))
    if write is not None and write.is_dir():
        raise UsageError(f"--write: {str(write)!r} is a folder; name a file: job.toml")
    if write is not None and not write.absolute().parent.is_dir():
        raise UsageError(f"--write: no folder {str(write.parent)!r}; make it first")
    if write is not None and model is not None and is_remote(model) and shown(model) != model:
        raise UsageError("--write would write the query of the URL: give run --model by itself")
    prepare_process()  # as run does
    file = begin_model(model, model_sha256, complain)
    from scene_batch.model.providers import installed_providers
    from scene_batch.model.runtime import load_runtime
    from scene_batch.pipeline.bench import auto, best, rates, sweep

    if file.note:
        complain(file.note)

    providers: list[Provider] = [provider]
    if provider == "auto":
        providers = ["openvino"] if bf16 else installed_providers(load_runtime())
    asked = [ComputeOptions(provider, bf16=bf16) for provider in providers]
    found: list[Measured] = []
    with _photos(photos) as refs:
        say(_row("provider", "batch size", "threads", "workers", "photos/s"))
        for measured in sweep(file, refs, asked, seconds=seconds, note=complain):
            found.append(measured)
            say(_line(measured))
    if not any(measured.photos_per_second for measured in found):
        raise UsageError("no photo was classified: give more --seconds, or photos that can be read")
    by_setting, fastest = rates(found), best(found)
    say(f"fastest: {_words(fastest, by_setting[fastest])}")
    share = by_setting[auto(found)] / by_setting[fastest]
    say(f"auto on {fastest.compute.provider}: {share:.2f} of it")
    if write is not None:
        write.write_text(_config(fastest, model, model_sha256), encoding="utf-8")
        say(f"run --config {write} uses it")


@contextmanager
def _photos(source: str | None) -> Iterator[Sequence[ImageRef]]:
    from scene_batch.sources.listing import Listing

    with tempfile.TemporaryDirectory() as folder:
        if source is None:
            _make_photos(Path(folder))
        listing = Listing([source or folder])
        refs = list(islice(listing, MOST_PHOTOS))
        if not refs:
            raise UsageError(f"no photo in {source!r}")
        yield refs


def _make_photos(folder: Path) -> None:
    """Photos with shapes and grain, as large as a web page's."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    width, height = _MADE_SIZE
    for number in range(_MADE):
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        shapes = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        grain = random.normal(0, 8, shapes.shape).astype(np.int16)
        pixels = np.clip(shapes + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=88)


def _row(*cells: str) -> str:
    return "".join(f"{cell:>12}" for cell in cells)


def _line(measured: Measured) -> str:
    asked, took = _values(measured.setting), _values(measured.took)
    cells = [f"{took['provider']}{' bf16' if took['bf16'] else ''}"]
    for name in ("batch_size", "threads", "workers"):
        cells.append(f"{took[name]}{'' if asked[name] else ' auto'}")
    return _row(*cells, f"{measured.photos_per_second:.0f}")


def _values(setting: Setting) -> dict[str, Any]:
    """A setting by the names of run's options."""
    return {**asdict(setting.compute), "workers": setting.workers}


def _words(setting: Setting, photos_per_second: float) -> str:
    compute = setting.compute
    return (
        f"provider {compute.provider}{' in bf16' if compute.bf16 else ''},"
        f" batch size {compute.batch_size}, {compute.threads} threads, {setting.workers} workers:"
        f" {photos_per_second:.0f} photos/s"
    )


def _config(setting: Setting, model: str | None, sha256: str | None) -> str:
    compute = setting.compute
    if model is not None and not is_remote(model):
        model = str(Path(model).resolve())
    lines = [
        f"# Measured by scene-batch bench on {platform.node()}, {time.strftime('%Y-%m-%d')}.",
        "[run]",
        # A JSON string is a TOML one.
        *([f"model = {json.dumps(model, ensure_ascii=False)}"] if model else []),
        *([f'model_sha256 = "{sha256}"'] if sha256 else []),
        f'provider = "{compute.provider}"',
        f"batch_size = {compute.batch_size}",
        f"threads = {compute.threads}",
        f"workers = {setting.workers}",
        *(["bf16 = true"] if compute.bf16 else []),
    ]
    return "\n".join(lines) + "\n"
