"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import click

from scene_batch.cli.values import Sha256
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

LOG_JSON = "scene_batch.log_json"
"""In a context's ``meta``: whether errors are JSON lines, too."""


def log_json_option(text: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """``--log-json``, which counts as soon as it is seen: errors of the options behind it, too."""

    def seen(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.meta[LOG_JSON] = value or ctx.meta.get(LOG_JSON)
        return value

    return click.option("--log-json", is_flag=True, is_eager=True, callback=seen, help=text)
