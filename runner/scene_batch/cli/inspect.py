"""The command ``inspect``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("inspect")
@click.argument("model", type=click.Path(path_type=Path), required=False)
def command(model: Path | None) -> None:
    """Show the card of MODEL as JSON; without MODEL, of the embedded one.

    \b
    Example:
      scene-batch inspect m.onnx
    """
    from scene_batch.model import sha256
    from scene_batch.session import Session

    session = Session.open(model, provider="cpu")
    card = session.card
    values = {
        "file": str(session.path),
        "size_bytes": session.path.stat().st_size,
        "sha256": sha256(session.path),
        "name": card.name,
        "version": card.version,
        "created": card.created,
        "precision": card.precision,
        "classes": list(card.classes),
        "preprocess": card.preprocess.to_json(),
        "training": dict(card.training),
        "metrics": dict(card.metrics),
        "calibration": dict(card.calibration),
        "golden": len(card.golden),
    }
    click.echo(json.dumps(values, indent=2, ensure_ascii=False))
