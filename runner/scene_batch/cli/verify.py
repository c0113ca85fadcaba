"""The command ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scene_batch.cli.options import provider_option, sha256_option
from scene_batch.cli.terminal import say

if TYPE_CHECKING:
    from scene_batch.model.compute_options import Provider


@click.command("verify")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@provider_option
@sha256_option
def command(model: Path | None, provider: Provider, model_sha256: str | None) -> None:
    """Prove that MODEL still computes on this device what was trained; without MODEL, the embedded.

    It classifies the golden photos inside the file and compares with the probabilities stored at
    export. Exit code 1 when one differs.

    \b
    Example:
      scene-batch verify m.onnx
    """
    from scene_batch.model import golden
    from scene_batch.model.compute_options import ComputeOptions
    from scene_batch.model.model_file import ModelFile
    from scene_batch.model.predictor import Predictor
    from scene_batch.model.session import NO_DIGEST

    predictor = Predictor.open(ModelFile.begin(model, model_sha256), ComputeOptions(provider))
    results = golden.check(predictor)
    for number, result in enumerate(results, 1):
        verdict = "ok" if result.passed else "DIFFERS"
        pixels = "" if result.same_pixels else "; decoder difference: other pixels than at export"
        name = "same class" if result.same_class else "another class"
        say(f"{number}: {verdict}, {name}, probabilities within {result.difference:.1e}{pixels}")
    if not predictor.session.has_digest:
        say(NO_DIGEST)
    passed = sum(result.passed for result in results)
    say(
        f"{passed} of {len(results)} golden photos as exported"
        f" (tolerance {results[0].tolerance:g}, provider {predictor.session.provider})"
    )
    if passed < len(results):
        raise click.exceptions.Exit(1)
