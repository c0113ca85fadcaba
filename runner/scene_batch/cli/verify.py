"""The command ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scene_batch.cli.options import ModelName, provider_option, sha256_option
from scene_batch.cli.terminal import complain, say

if TYPE_CHECKING:
    from scene_batch.model.compute_options import Provider


@click.command("verify")
@click.argument("model", type=ModelName(), required=False)
@provider_option
@sha256_option
@click.option(
    "--save-answers",
    is_flag=True,
    help="Put this provider's answers into MODEL: then verify compares with them, tightly.",
)
def command(
    model: str | None, provider: Provider, model_sha256: str | None, save_answers: bool
) -> None:
    """Prove that MODEL still computes on this device what was trained; without MODEL, the embedded.

    It classifies the golden photos inside the file and compares with the probabilities stored at
    export; for an int8 file with those of the same provider, where the file holds them. Exit code 1
    when one differs.

    \b
    Examples:
      scene-batch verify m.onnx
      scene-batch verify m.onnx --provider openvino --save-answers
    """
    if save_answers and model is None:
        raise click.UsageError("--save-answers writes into MODEL: name a file")
    from scene_batch.model import golden
    from scene_batch.model.compute_options import ComputeOptions
    from scene_batch.model.predictor import Predictor
    from scene_batch.model.session import NO_DIGEST
    from scene_batch.pipeline.named_model import begin_model, is_remote

    if save_answers and is_remote(model):
        raise click.UsageError("--save-answers writes into a file of this machine: name that file")
    file = begin_model(model, model_sha256, complain)
    predictor = Predictor.open(file, ComputeOptions(provider))
    if file.note:
        complain(file.note)
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
    provider = predictor.session.provider
    if not golden.has_answers(predictor):
        say(
            f"the file holds no answers of {provider}, which rounds elsewhere than cpu: hence the"
            " wide tolerance (verify --save-answers puts them in)"
        )
    if passed < len(results):
        raise click.exceptions.Exit(1)
    if save_answers:
        _replace(predictor.session.path, golden.with_answers(predictor))
        say(f"{str(predictor.session.path)!r} holds the answers of {provider} now")


def _replace(path: Path, data: bytes) -> None:
    partial = Path(f"{path}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
