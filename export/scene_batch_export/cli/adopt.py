"""The command ``adopt``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from scene_batch.cli.terminal import harmless

_FILE = click.Path(path_type=Path)


@click.command("adopt")
@click.argument("model", type=_FILE)
@click.option("--out", required=True, type=_FILE, help="The .onnx to write.")
@click.option(
    "--from",
    "places",
    multiple=True,
    type=_FILE,
    help="A folder or file that says more of the model: config.json, preprocessor_config.json,"
    " class_indices.json, labels.txt.  [default: the model's own folder]",
)
@click.option("--classes", type=_FILE, help="Class names in index order: a name a line, or JSON.")
@click.option(
    "--preprocess",
    metavar="PRESET|JSON|FILE",
    help="How a photo becomes the input: imagenet, timm, huggingface, ultralytics, custom-vision,"
    " keras, keras-torch, keras-caffe, keras-raw; or JSON.",
)
@click.option("--size", metavar="N|WxH", help="Of the input in pixels, where the graph takes any.")
@click.option("--input", help="The input that takes the photo, by name.")
@click.option("--output", help="The output that classifies, by name.")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Of the input.")
@click.option("--channels", type=click.Choice(["rgb", "bgr"]), help="Their order in the input.")
@click.option("--mean", metavar="A,B,C", help="Subtracted from each channel, in the input's order.")
@click.option("--std", metavar="A,B,C", help="What each is divided by then.")
@click.option(
    "--scale", metavar="X", help="What pixels of 0 to 255 are multiplied by first: 1/255."
)
@click.option(
    "--activation",
    type=click.Choice(["softmax", "none"]),
    help="softmax: the output is logits; none: it is probabilities.  [default: as it answers]",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="int8 is two to three times as fast on CPUs, fp16 is for GPUs.  [default: the model's]",
)
@click.option("--calibrate", type=_FILE, help="Photos like yours, to calibrate int8 on.")
@click.option(
    "--golden", type=_FILE, help="Photos to put in the file for verify.  [default: made-up ones]"
)
@click.option("--test", type=_FILE, help="Labelled photos: the file's figures on its card.")
@click.option(
    "--reference",
    type=_FILE,
    help="A CSV or Parquet table of what your own pipeline says of photos: path, and class or"
    " probabilities.",
)
@click.option(
    "--reference-agreement",
    type=click.FloatRange(0, 1),
    default=0.99,
    show_default=True,
    help="Share of the reference's photos that must have the same class.",
)
@click.option(
    "--reference-difference",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Most that a probability may differ from the reference's.",
)
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    default=0.98,
    show_default=True,
    help="Share of photos that must keep fp32's class in int8 or fp16.",
)
@click.option("--name", help="The model's name.  [default: the file's]")
@click.option("--model-version", default="1", show_default=True, help="The model's own version.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
def command(
    model: Path,
    out: Path,
    places: tuple[Path, ...],
    precision: Literal["fp32", "fp16", "int8"] | None,
    name: str | None,
    model_version: str,
    **rest: Any,  # noqa: ANN401 - by the options' names
) -> None:
    """Make MODEL, a classifier in ONNX from elsewhere, into a file that `scene-batch run` takes.

    What it needs to know comes from options, files beside the model or named by --from, the file's
    own metadata, and the graph, in this order; each thing is printed with where it was taken from,
    and what cannot be told is asked for. The new file is compared with the original, and is not
    written when it answers otherwise.

    \b
    Examples:
      scene-batch adopt resnet50.onnx --out m.onnx --from hf-folder/
      scene-batch adopt yolo11n-cls.onnx --out m.onnx
      scene-batch adopt mine.onnx --out m.onnx --classes labels.txt --preprocess imagenet
      scene-batch adopt mine.onnx --out m.onnx --precision int8 --calibrate photos/
    """
    from scene_batch_export.adopted.adopting import Wish, adopt
    from scene_batch_export.adopted.finding import Given

    said = (
        *("classes", "preprocess", "size", "input", "output", "layout", "channels", "mean"),
        *("std", "scale", "activation"),
    )
    given = Given(**{key: rest.pop(key) for key in said}, places=places)
    wish = Wish(model, out, given, precision, name, model_version, **rest)
    adopt(wish, lambda line: click.echo(harmless(" ".join(line.split("\n"))), err=True))
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB", err=True)
