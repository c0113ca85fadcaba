"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import click

from scene_batch.cli.values import Seconds, Sha256, ShareOrOff
from scene_batch.model.compute_options import Provider

provider_option = click.option(
    "--provider",
    type=click.Choice(get_args(Provider)),
    default="auto",
    show_default=True,
    help="What computes; auto takes the fastest that runs, the others never become another.",
)


class ModelName(click.ParamType[str]):
    """A model file's path or URL, as it was typed: a ``Path`` would drop a slash of ``s3://``."""

    name = "FILE|URL"


model_option = click.option(
    "--model",
    type=ModelName(),
    help="Model file, or its URL (s3:// gs:// az:// https://).  [default: embedded]",
)

sha256_option = click.option(
    "--model-sha256",
    type=Sha256(),
    help="Refuse the model file unless its bytes have this sha256, 64 hex digits.",
)

MOST_PHOTOS = 10**18

_PHOTO_OPTIONS = (
    click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="Leave out such names or paths below a source, as in .gitignore; may be repeated.",
    ),
    click.option(
        "--no-follow-links", is_flag=True, help="Leave out links to photos and to folders."
    ),
    click.option(
        "--skip-unlistable", is_flag=True, help="Pass over folders that cannot be listed."
    ),
    click.option(
        "--hide-queries",
        is_flag=True,
        help="In `path`, write a digest in place of a URL's query, which may be a signature.",
    ),
    click.option("--limit", type=click.IntRange(1, MOST_PHOTOS), help="Stop after so many photos."),
    click.option(
        "--read-timeout",
        type=Seconds(),
        default="60s",
        show_default=True,
        help="A read that takes longer is a row `timeout`.",
    ),
    click.option(
        "--decode-timeout",
        type=Seconds(),
        default="60s",
        show_default=True,
        help="A photo whose decoding takes longer is a row `timeout`.",
    ),
    click.option(
        "--storm",
        type=ShareOrOff(),
        default="50%",
        show_default=True,
        help="Stop when storage fails this share of the last 200 reads; off: never.",
    ),
    click.option(
        "--path-column",
        default="path",
        show_default=True,
        metavar="NAME",
        help="The column of @list.csv and @list.parquet that holds the paths.",
    ),
    click.option("--null", is_flag=True, help="Paths of lists end with a NUL byte: find -print0."),
)


def photo_options(command: click.decorators.FC) -> click.decorators.FC:
    """Options that say which photos are taken, and what becomes of those that cannot be read."""
    for option in reversed(_PHOTO_OPTIONS):
        command = option(command)
    return command


LOG_JSON = "scene_batch.log_json"
"""In a context's ``meta``: whether errors are JSON lines, too."""


def log_json_option(text: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """``--log-json``, which counts as soon as it is seen: errors of the options behind it, too."""

    def seen(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.meta[LOG_JSON] = value or ctx.meta.get(LOG_JSON)
        return value

    return click.option("--log-json", is_flag=True, is_eager=True, callback=seen, help=text)
