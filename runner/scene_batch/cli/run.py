"""The command ``run``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from scene_batch.cli.config import CONFIG, config_option
from scene_batch.cli.options import (
    log_json_option,
    model_option,
    photo_options,
    provider_option,
    sha256_option,
)
from scene_batch.cli.process import give_way, prepare_process
from scene_batch.cli.progress import told
from scene_batch.cli.values import AutoOrCount, CountOrShare, Rate
from scene_batch.memory import refuse_small_memory, usable_memory
from scene_batch.model.compute_options import ComputeOptions, Provider

if TYPE_CHECKING:
    from scene_batch.tables.run_record import RunRecord

TOO_MANY_UNREADABLE = 3


def _auto_option(name: str, text: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(name, type=AutoOrCount(), default="auto", show_default=True, help=text)


@click.command("run")
@click.argument("sources", metavar="SOURCE...", nargs=-1)
@click.option(
    "--out",
    required=True,
    metavar="PATH",
    help=".parquet, .csv, .jsonl, a closing / (Parquet data set), local or in a bucket; or -.",
)
@model_option
@sha256_option
@click.option("--top-k", type=click.IntRange(min=1), help="Classes for each photo.  [default: 3]")
@provider_option
@_auto_option("--batch-size", "Photos that the model takes at a time; no row depends on it.")
@_auto_option("--workers", "Threads that read and decode.")
@_auto_option("--threads", "Compute threads.")
@click.option("--bf16", is_flag=True, help="Compute an fp32 model in bfloat16: openvino only.")
@click.option(
    "--max-unreadable",
    type=CountOrShare(),
    default="1%",
    show_default=True,
    help="More unreadable photos end with exit code 3; the table is whole all the same.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Classify one share of N, I from 0; auto/N takes I from an array job's environment.",
)
@photo_options
@click.option(
    "--photos-per-second", type=Rate(), help="At most so many, to leave the machine to others."
)
@click.option(
    "--nice",
    type=click.IntRange(1, 19),
    help="Let other processes go first; 19: all of them, as nice(1) has it.",
)
@click.option("--overwrite", is_flag=True, help="Replace PATH if it is there.")
@click.option("--update", is_flag=True, help="Keep PATH's rows; classify what is new or changed.")
@click.option("--prune", is_flag=True, help="With --update: drop rows of photos that are gone.")
@click.option("--retry-unreadable", is_flag=True, help="Classify PATH's unreadable photos again.")
@click.option("--restart", is_flag=True, help="Throw away what an unfinished run left.")
@click.option("--quiet", is_flag=True, help="No progress, no summary.")
@log_json_option("Progress, summary and errors as JSON lines.")
@config_option
def command(
    sources: tuple[str, ...],
    out: str,
    model: str | None,
    model_sha256: str | None,
    top_k: int | None,
    provider: Provider,
    batch_size: int | None,
    workers: int | None,
    threads: int | None,
    bf16: bool,
    max_unreadable: str,
    shard: str | None,
    exclude: tuple[str, ...],
    no_follow_links: bool,
    skip_unlistable: bool,
    hide_queries: bool,
    limit: int | None,
    read_timeout: float,
    decode_timeout: float,
    photos_per_second: float | None,
    nice: int | None,
    storm: float | None,
    path_column: str,
    null: bool,
    overwrite: bool,
    update: bool,
    prune: bool,
    retry_unreadable: bool,
    restart: bool,
    quiet: bool,
    log_json: bool,
) -> None:
    """Classify every photo of each SOURCE into one table: a row for each photo, in order.

    SOURCE is a directory (searched recursively for .jpg .jpeg .png .webp .bmp .gif .tif .tiff .avif
    .heic .heif), a prefix of a bucket (s3:// gs:// az://), a photo (also by https://), or a list:
    @list.txt (a path a line), @list.csv or @list.parquet (a column path), @- for standard input.

    PATH appears when it is whole. Until then the rows are saved in PATH.parts: after a kill, a
    power cut or a full disk, the same command continues.

    Exit codes: 0 done; 1 stopped; 2 the command is wrong; 3 done, but more photos unreadable than
    --max-unreadable; 130 and 143 interrupted.

    \b
    Examples:
      scene-batch run ./seg_pred --out preds.parquet
      scene-batch run s3://bucket/photos --out s3://bucket/preds.parquet
      scene-batch run ./inbox --out preds.parquet --update --retry-unreadable
      scene-batch run s3://bucket/photos --out s3://bucket/preds.parquet --shard auto/8
      find . -name '*.jpg' -mtime -1 | scene-batch run @- --out - | jq .class
    """
    prepare_process()
    refuse_small_memory(usable_memory())
    if nice is not None:
        give_way(nice)
    # Arrow's own allocator keeps freed memory; malloc gives it back, and is as fast here.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    with told(quiet=quiet, as_json=log_json) as (progress, interruption):
        with interruption.held_off():  # a library's import must not be broken off
            from scene_batch.model.runtime import load_runtime
            from scene_batch.pipeline.named_model import begin_model
            from scene_batch.threads import begin

            # Both beside the other imports: the session is what a short run waits for.
            file = begin_model(model, model_sha256, progress.note)
            import numpy as np  # noqa: F401 - two threads must not import it at once

            begin(load_runtime)  # its errors are raised where the session is opened
            from scene_batch.pipeline.job import Job
            from scene_batch.pipeline.opening import run_job
            from scene_batch.sources.file_list import ListFormat
            from scene_batch.sources.selection import Selection
            from scene_batch.sources.shard import Shard

            job = Job(
                sources,
                out,
                model=model,
                config=click.get_current_context().meta.get(CONFIG),
                model_sha256=model_sha256,
                compute=ComputeOptions(provider, batch_size, threads, bf16),
                top_k=top_k,
                lists_as=ListFormat(path_column, null),
                overwrite=overwrite,
                update=update,
                prune=prune,
                retry_unreadable=retry_unreadable,
                restart=restart,
                shard=None if shard is None else Shard.parse(shard),
                selection=Selection(not no_follow_links, exclude, skip_unlistable),
                hide_queries=hide_queries,
                limit=limit,
                workers=workers,
                read_timeout=read_timeout,
                decode_timeout=decode_timeout,
                photos_per_second=photos_per_second,
                storm=storm,
            )
        record = run_job(job, progress, interruption, file)
        progress.summary(record)
    if exceeds(record, max_unreadable):
        progress.warn(f"more unreadable photos than --max-unreadable {max_unreadable}: exit code 3")
        sys.exit(TOO_MANY_UNREADABLE)


def exceeds(record: RunRecord, limit: str) -> bool:
    """Whether more photos were unreadable than a count or a share (``1%``) allows."""
    unreadable = record.photos - record.ok
    if limit.endswith("%"):
        return unreadable > float(limit[:-1]) / 100 * record.photos
    return unreadable > int(limit)
