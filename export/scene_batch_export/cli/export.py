"""The command ``export``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import click

from scene_batch.cli.signals import ended_by_signals
from scene_batch_train.quiet import import_keras


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The .onnx to write.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default="fp32",
    show_default=True,
    help="int8 is two to three times as fast on CPUs, fp16 is for GPUs.",
)
@click.option(
    "--calibrate",
    type=click.Path(path_type=Path),
    help="Photos to calibrate int8 on.  [default: the run's training photos]",
)
@click.option(
    "--golden",
    type=click.Path(path_type=Path),
    help="Photos to put in the file for verify.  [default: some of the run's validation photos]",
)
@click.option(
    "--test",
    type=click.Path(path_type=Path),
    help="Labelled photos that had no part in the training: the file's figures on its card.",
)
@click.option("--name", help="The model's name.  [default: the run folder's]")
@click.option("--model-version", help="The model's own version.  [default: the run's]")
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    default=0.98,
    show_default=True,
    help="Share of photos that must keep fp32's class in int8 or fp16.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
def command(
    run: Path,
    out: Path,
    precision: Literal["fp32", "fp16", "int8"],
    calibrate: Path | None,
    golden: Path | None,
    test: Path | None,
    name: str | None,
    model_version: str | None,
    min_agreement: float,
    overwrite: bool,
) -> None:
    """Make a training run into one model file that `scene-batch run` takes.

    The file is compared with Keras on the run's validation photos, and is not written when it
    differs. Some photos go into it, so that `verify` can check it on any device: name others with
    --golden where yours are private.

    \b
    Example:
      scene-batch export runs/scenes --out scenes.onnx --precision int8
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # tf2onnx's, whatever the training used
    import_keras()
    from scene_batch_export.exporting import Wish, export

    wish = Wish(
        run=run,
        out=out,
        precision=precision,
        name=name,
        version=model_version,
        calibrate=calibrate,
        golden=golden,
        test=test,
        min_agreement=min_agreement,
        overwrite=overwrite,
    )
    with ended_by_signals("nothing was written"):
        export(wish, lambda line: click.echo(line, err=True))
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {precision}", err=True)
