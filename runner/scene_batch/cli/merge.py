"""The command ``merge``."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from scene_batch.cli.config import config_option
from scene_batch.cli.options import log_json_option
from scene_batch.cli.progress import told

_MOST_ON_MACOS = 10_240
"""OPEN_MAX of its limits.h: setrlimit(2)."""


@click.command("merge")
@click.argument("shards", metavar="SHARD...", nargs=-1, required=True)
@click.option("--out", required=True, metavar="PATH", help="As run's --out.")
@click.option("--overwrite", is_flag=True, help="Replace PATH if it is there.")
@click.option("--restart", is_flag=True, help="Throw away what an unfinished merge left.")
@click.option("--quiet", is_flag=True, help="No summary.")
@log_json_option("Summary and errors as JSON lines.")
@config_option
def command(
    shards: tuple[str, ...], out: str, overwrite: bool, restart: bool, quiet: bool, log_json: bool
) -> None:
    """Merge the tables of all shards of a job into the table that one run would have written.

    Each SHARD is a .parquet or a data set/ that run --shard wrote, local or in a bucket. Every
    shard must be there once, made with the same model and settings; every row is checked.

    \b
    Examples:
      scene-batch merge preds-*-of-00003.parquet --out preds.parquet
      scene-batch merge s3://bucket/preds-0000{0,1}-of-00002.parquet --out s3://bucket/preds.parquet
    """
    with told(quiet=quiet, as_json=log_json) as (progress, interruption):
        with interruption.held_off():  # a library's import must not be broken off
            from scene_batch.pipeline.merge import merge

            _allow_many_files()
        record = merge(
            shards,
            out,
            overwrite=overwrite,
            restart=restart,
            front=progress,
            interruption=interruption,
        )
        progress.summary(record)


def _allow_many_files() -> None:
    """Each shard is an open file; the usual limit of 1,024 (macOS: 256) is only where it begins.

    Windows has none that could be raised: thousands may be open.
    """
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (hard, _MOST_ON_MACOS):
        with suppress(ValueError, OSError):  # macOS names a limit that it does not allow
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return
