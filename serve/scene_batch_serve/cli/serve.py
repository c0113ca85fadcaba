"""The command ``serve``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from scene_batch.cli.config import config_option
from scene_batch.cli.options import model_option, provider_option, sha256_option
from scene_batch.cli.process import prepare_process
from scene_batch.cli.values import AutoOrCount, Seconds
from scene_batch.model.compute_options import ComputeOptions, Provider
from scene_batch_serve.cli.values import Bytes

_HIGHEST_PORT, _LONGEST_KEPT = 65_535, 3600


def _auto_option(name: str, text: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(name, type=AutoOrCount(), default="auto", show_default=True, help=text)


def _seconds_option(
    name: str, default: str, text: str
) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(name, type=Seconds(), default=default, show_default=True, help=text)


@click.command("serve")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0: all."
)
@click.option(
    "--port",
    type=click.IntRange(0, _HIGHEST_PORT),
    default=8080,
    show_default=True,
    help="Port to listen at; 0: any that is free.",
)
@model_option
@sha256_option
@click.option(
    "--top-k", type=click.IntRange(min=1), help="Classes that an answer names.  [default: 3]"
)
@provider_option
@_auto_option("--batch-size", "Photos that the model takes at a time.")
@_auto_option("--workers", "Threads that decode.")
@_auto_option("--threads", "Compute threads.")
@click.option("--bf16", is_flag=True, help="Compute an fp32 model in bfloat16: openvino only.")
@_seconds_option("--batch-wait", "0.005s", "How long a photo waits for others to fill its batch.")
@_auto_option("--queue", "Photos in hand at a time; more are answered 503.")
@_seconds_option("--max-wait", "0.25s", "While those in hand take longer, new ones get 503.")
@click.option(
    "--max-body", type=Bytes(), default="32MiB", show_default=True, help="Largest request."
)
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Beyond them the one that is idle longest is closed; if none is, the new one gets 503.",
)
@_seconds_option("--body-timeout", "30s", "A request that takes longer to come gets 408.")
@click.option(
    "--keep-alive",
    type=click.IntRange(1, _LONGEST_KEPT),
    default=15,
    show_default=True,
    help="Seconds that a connection is kept; behind a balancer more than it keeps them.",
)
@_seconds_option("--read-timeout", "10s", "A photo by URL that takes longer gets 503.")
@_seconds_option("--decode-timeout", "10s", "A photo whose decoding takes longer gets 503.")
@click.option(
    "--corrections",
    type=click.Path(path_type=Path, file_okay=False),
    help="Let visitors say the right class, and store such photos here for train --add.",
)
@click.option("--allow-urls", is_flag=True, help="Fetch photos by URL, from the public Internet.")
@click.option(
    "--allow-host",
    multiple=True,
    metavar="HOST",
    help="With --allow-urls: a host that may be asked though it is not public; may be repeated.",
)
@click.option(
    "--allow-bucket",
    multiple=True,
    metavar="s3://NAME",
    help="With --allow-urls: a bucket that may be read; may be repeated.",
)
@config_option
def command(
    host: str,
    port: int,
    model: str | None,
    model_sha256: str | None,
    top_k: int | None,
    provider: Provider,
    batch_size: int | None,
    workers: int | None,
    threads: int | None,
    bf16: bool,
    batch_wait: float,
    queue: int | None,
    max_wait: float,
    max_body: int,
    max_connections: int,
    body_timeout: float,
    keep_alive: int,
    read_timeout: float,
    decode_timeout: float,
    corrections: Path | None,
    allow_urls: bool,
    allow_host: tuple[str, ...],
    allow_bucket: tuple[str, ...],
) -> None:
    """Answer single photos over HTTP: POST /predict, and a page at / to try it.

    A photo is a form's field `file`, or the body of the request. What would wait too long, as far
    as the last photos tell, is answered 503 at once. Logs are JSON lines. SIGTERM answers what is
    in hand, and ends.

    \b
    Examples:
      scene-batch serve
      scene-batch serve --model m.onnx --host 0.0.0.0 --port 80
      curl -F file=@photo.jpg http://127.0.0.1:8080/predict
    """
    prepare_process()
    import starlette  # noqa: F401 - what is missing is told before the model is read
    import uvicorn  # noqa: F401

    from scene_batch.classifier import Classifier
    from scene_batch.pipeline.live import Patience
    from scene_batch_serve.bounds import Bounds
    from scene_batch_serve.serving import Settings, serve
    from scene_batch_serve.urls import Urls

    if not allow_urls and (allow_host or allow_bucket):
        raise click.UsageError("--allow-host and --allow-bucket need --allow-urls")
    urls = Urls(allow_host, allow_bucket) if allow_urls else None
    classifier = Classifier.load(
        model,
        model_sha256=model_sha256,
        top_k=top_k,
        compute=ComputeOptions(provider, batch_size, threads, bf16),
        read_timeout=read_timeout,
        decode_timeout=decode_timeout,
    )
    settings = Settings(
        workers=workers,
        patience=Patience(batch_wait, max_wait, queue),
        bounds=Bounds(
            body=max_body,
            body_seconds=body_timeout,
            keep_alive=keep_alive,
            connections=max_connections,
        ),
        corrections=corrections,
        urls=urls,
    )
    serve(classifier, (host, port), settings)
