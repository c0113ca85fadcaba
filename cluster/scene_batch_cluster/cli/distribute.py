"""The command ``distribute``."""

from __future__ import annotations

import os
import sys

import click

from scene_batch.cli.config import CONFIG, config_option
from scene_batch.cli.options import (
    log_json_option,
    model_option,
    photo_options,
    provider_option,
    sha256_option,
)
from scene_batch.cli.process import prepare_process
from scene_batch.cli.run import TOO_MANY_UNREADABLE, exceeds
from scene_batch.cli.values import AutoOrCount, CountOrShare
from scene_batch.errors import Interrupted
from scene_batch.model.compute_options import ComputeOptions, Provider

_MOST_CPUS, _MOST_GPUS, _MOST_ATTEMPTS = 1024, 64, 100


@click.command("distribute")
@click.argument("sources", metavar="SOURCE...", nargs=-1)
@click.option(
    "--out",
    required=True,
    metavar="PATH",
    help="As run's --out: in a bucket, or in a folder that all machines share.",
)
@click.option(
    "--address",
    default="local",
    show_default=True,
    metavar="local|auto|ray://HOST:PORT",
    help="The cluster: this machine for the length of the job, the one that runs here, or another.",
)
@click.option(
    "--shares",
    type=AutoOrCount(),
    default="auto",
    show_default=True,
    help="How many shares the photos are cut into.",
)
@click.option(
    "--cpus",
    type=click.IntRange(1, _MOST_CPUS),
    default=2,
    show_default=True,
    help="CPUs of each task: its threads decode and compute.",
)
@click.option(
    "--gpus",
    type=click.FloatRange(0, _MOST_GPUS),
    default=0.0,
    show_default="0",
    help="GPUs of each task, which then compute by cuda.",
)
@click.option(
    "--attempts",
    type=click.IntRange(1, _MOST_ATTEMPTS),
    default=3,
    show_default=True,
    help="How often a share may fail before the job stops.",
)
@model_option
@sha256_option
@click.option("--top-k", type=click.IntRange(min=1), help="Classes for each photo.  [default: 3]")
@provider_option
@click.option(
    "--batch-size",
    type=AutoOrCount(),
    default="auto",
    show_default=True,
    help="Photos that the model takes at a time; no row depends on it.",
)
@click.option("--bf16", is_flag=True, help="Compute an fp32 model in bfloat16: openvino only.")
@click.option(
    "--max-unreadable",
    type=CountOrShare(),
    default="1%",
    show_default=True,
    help="More unreadable photos end with exit code 3; the table is whole all the same.",
)
@photo_options
@click.option("--overwrite", is_flag=True, help="Replace PATH if it is there.")
@click.option("--restart", is_flag=True, help="Throw away what an unfinished job left.")
@click.option("--quiet", is_flag=True, help="No progress, no summary.")
@log_json_option("Progress, summary and errors as JSON lines.")
@config_option
def command(
    sources: tuple[str, ...],
    out: str,
    address: str,
    shares: int | None,
    cpus: int,
    gpus: float,
    attempts: int,
    model: str | None,
    model_sha256: str | None,
    top_k: int | None,
    provider: Provider,
    batch_size: int | None,
    bf16: bool,
    max_unreadable: str,
    exclude: tuple[str, ...],
    no_follow_links: bool,
    skip_unlistable: bool,
    hide_queries: bool,
    limit: int | None,
    read_timeout: float,
    decode_timeout: float,
    storm: float | None,
    path_column: str,
    null: bool,
    overwrite: bool,
    restart: bool,
    quiet: bool,
    log_json: bool,
) -> None:
    """Classify every photo of each SOURCE into one table, on the machines of a Ray cluster.

    The photos are listed once and cut into shares; each share is a run on some machine. The table
    is the one that run leaves on one machine. What is done is saved in PATH.parts: after a kill, a
    power cut or the loss of machines, the same command continues.

    Exit codes are those of run.

    \b
    Examples:
      scene-batch distribute ./photos --out preds.parquet
      scene-batch distribute s3://bucket/photos --out s3://bucket/preds/ --address auto
      scene-batch distribute s3://bucket/photos --out s3://bucket/preds/ --address auto --gpus 1
    """
    prepare_process()
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import ray  # noqa: F401 - what is missing is told before anything is done

    from scene_batch.pipeline.interruption import Interruption
    from scene_batch.pipeline.job import Job
    from scene_batch.pipeline.named_model import begin_model
    from scene_batch.sources.file_list import ListFormat
    from scene_batch.sources.selection import Selection
    from scene_batch_cluster.distributing import distribute
    from scene_batch_cluster.driver import Settings
    from scene_batch_cluster.machines import Needs
    from scene_batch_cluster.shown import Shown

    job = Job(
        sources,
        out,
        model=model,
        config=click.get_current_context().meta.get(CONFIG),
        model_sha256=model_sha256,
        compute=ComputeOptions(provider, batch_size, None, bf16),
        top_k=top_k,
        lists_as=ListFormat(path_column, null),
        overwrite=overwrite,
        restart=restart,
        selection=Selection(not no_follow_links, exclude, skip_unlistable),
        hide_queries=hide_queries,
        limit=limit,
        read_timeout=read_timeout,
        decode_timeout=decode_timeout,
        storm=storm,
    )
    settings = Settings(address, shares, Needs(cpus, gpus), attempts)
    with Shown(quiet=quiet, as_json=log_json) as shown, Interruption() as interruption:
        try:
            file = begin_model(model, model_sha256, shown.note)
            record = distribute(job, settings, file, shown, interruption)
        except Interrupted as interrupted:
            shown.note("interrupted; run the same command again")
            sys.exit(interrupted.exit_code)
        shown.summary(record)
    if exceeds(record, max_unreadable):
        shown.warn(f"more unreadable photos than --max-unreadable {max_unreadable}: exit code 3")
        sys.exit(TOO_MANY_UNREADABLE)
