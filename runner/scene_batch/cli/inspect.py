"""The command ``inspect``."""

from __future__ import annotations

import json

import click

from scene_batch.cli.options import ModelName, sha256_option
from scene_batch.cli.terminal import complain, say


@click.command("inspect")
@click.argument("model", type=ModelName(), required=False)
@sha256_option
@click.option("--markdown", is_flag=True, help="A page for people instead of JSON.")
def command(model: str | None, model_sha256: str | None, markdown: bool) -> None:
    """Show the card of MODEL as JSON; without MODEL, of the embedded one.

    \b
    Examples:
      scene-batch inspect m.onnx
      scene-batch inspect m.onnx --markdown > model-card.md
    """
    from scene_batch.errors import ModelError
    from scene_batch.model.compute_options import ComputeOptions
    from scene_batch.model.page import to_json, to_markdown
    from scene_batch.model.session import Session
    from scene_batch.pipeline.named_model import begin_model

    file = begin_model(model, model_sha256, complain)
    session = Session.open(file, ComputeOptions("cpu"))
    if file.note:
        complain(file.note)
    card, size_bytes, digest = session.card, session.path.stat().st_size, session.sha256
    if markdown:
        try:
            page = to_markdown(card, size_bytes, digest)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ModelError(
                f"{file.name} has figures that no page can show"
                f" ({type(error).__name__}: {error}); leave --markdown out, or export it again"
            ) from None
        say(page, nl=False)
        return
    values = {"file": str(file.named or session.path), **to_json(card, size_bytes, digest)}
    click.echo(json.dumps(values, indent=2, ensure_ascii=False))
