"""The command ``merge``."""

from __future__ import annotations

import click

from scene_batch.cli.config import config_option
from scene_batch.cli.progress import told
from scene_batch.platforms import allow_many_files


@click.command("merge")
@click.argument("shards", metavar="SHARD...", nargs=-1, required=True)
@click.option("--out", required=True, metavar="PATH", help="As run's --out.")
@click.option("--overwrite", is_flag=True, help="Replace PATH if it is there.")
@click.option("--restart", is_flag=True, help="Throw away what an unfinished merge left.")
@click.option("--quiet", is_flag=True, help="No summary.")
@click.option("--log-json", is_flag=True, help="The summary as a JSON line.")
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

            allow_many_files()  # each shard is one; the usual limit of 1,024 is only a start
        record = merge(shards, out, overwrite=overwrite, restart=restart, interruption=interruption)
        progress.summary(record)
