"""What several tests need: photos of a known colour, a model that names it, runs to look at."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from scene_batch.model.card import GoldenVector, ModelCard
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.decode import decode
from scene_batch.model.digest import with_digest
from scene_batch.model.golden import pixels_sha256
from scene_batch.model.predictor import Predictor
from scene_batch.model.preprocess import Preprocess
from scene_batch.model.session import Session
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import Decoded, ImageRef
from scene_batch.sources.listing import Listing

ROOT = Path(__file__).parents[1]
SCENES, HARD = ROOT / "samples" / "scenes", ROOT / "samples" / "hard"
HEIC = ROOT / "tests" / "heic"
COLOURS = ("red", "green", "blue")
SIDE = 16


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """An image's file, in memory."""
    file = io.BytesIO()
    image.copy().save(file, file_format, **options)  # a save leaves its options on the image
    return file.getvalue()


def save_photo(path: Path, colour: str = "red", size: tuple[int, int] = (24, 24)) -> Path:
    """Save a photo of one colour; the suffix decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def save_shade(path: Path, number: int) -> Path:
    """Save a photo whose probabilities no other number's photo has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), (number * 7 % 256, number * 13 % 256, 90)).save(path)
    return path


def save_colour_model(path: Path, **card: Any) -> Path:
    """Save a model whose classes are the colours: the softmax of the mean colour, 0 to 1.

    ``card`` replaces fields of its card; its golden vectors are computed by the file itself.
    """
    made = _card(card)
    save_model(_network(made), path)
    session = Session.open(path, ComputeOptions("cpu"))
    vectors = [_vector(session, colour) for colour in COLOURS]
    return save_model(_network(_card({"golden": tuple(vectors)} | card)), path)


def _vector(session: Session, colour: str) -> GoldenVector:
    image = encode(Image.new("RGB", (SIDE, SIDE), colour), "PNG")
    photo = decode(ImageRef("<golden>"), image, session.card.preprocess)
    assert isinstance(photo, Decoded)
    probabilities = tuple(session.probabilities([photo.pixels])[0].tolist())
    return GoldenVector(image, pixels_sha256(photo.pixels), probabilities, probabilities)


def _card(changes: Mapping[str, Any]) -> ModelCard:
    values: dict[str, Any] = {
        "classes": COLOURS,
        "preprocess": Preprocess(SIDE, SIDE),
        "name": "colours",
        "version": "1.0.0",
        "created": "2026-01-01T00:00:00+00:00",
        "precision": "fp32",
    }
    return ModelCard(**(values | dict(changes)))


def _network(card: ModelCard) -> onnx.ModelProto:
    """Cast, mean over height and width, scale to 0..1, softmax."""
    shape = [card.preprocess.height, card.preprocess.width, 3]
    axes = numpy_helper.from_array(np.array([1, 2], np.int64), "axes")
    scale = numpy_helper.from_array(np.array(1 / 255, np.float32), "scale")
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "scale"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])],
        [axes, scale],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, card.to_metadata())
    return model


def save_model(model: onnx.ModelProto, path: Path) -> Path:
    """Save a network that was altered on purpose, with a digest that fits."""
    path.write_bytes(with_digest(model.SerializeToString()))
    return path


def with_scale(model: Path, scale: float, path: Path) -> Path:
    """The same file with another weight: what an alteration or a broken kernel looks like."""
    altered = onnx.load(model)
    (weight,) = [w for w in altered.graph.initializer if w.name == "scale"]
    weight.CopyFrom(numpy_helper.from_array(np.array(scale, np.float32), "scale"))
    return save_model(altered, path)


def paths_of(*sources: str) -> list[str]:
    """The paths of the photos that sources list."""
    return [ref.path for ref in Listing(sources)]


def rows_of(table: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """A Parquet table's rows."""
    rows: list[dict[str, Any]] = pq.read_table(table).to_pylist()
    return rows


def counts(out: str | os.PathLike[str]) -> dict[str, Any]:
    """What a table's record counts."""
    record = json.loads(Path(f"{os.fspath(out)}.run.json").read_text())
    return {key: record[key] for key in ("photos", "ok", "unreadable", "ignored", "classes")}


class Watch:
    """A front that calls a function after each batch, and keeps what it is told."""

    def __init__(self, update: Callable[[Tally], None] = lambda tally: None) -> None:
        self.update = update
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)


def broken_off_at(rows: int) -> Callable[[Tally], None]:
    """Let a run end at that many rows by what nothing on the way knows: like a kill, in-process."""

    def watch(tally: Tally) -> None:
        if tally.rows >= rows:
            raise KeyboardInterrupt

    return watch


def break_off(job: Job, predictor: Predictor, rows: int) -> None:
    """Run a job as far as that many rows."""
    with pytest.raises(KeyboardInterrupt):
        run(job, predictor, Watch(broken_off_at(rows)))


def wait_for(happens: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so; it is an error if that takes very long."""
    until = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.02)


def is_full(pipe: int) -> bool:
    """Whether a pipe, by its end for writing, takes no more."""
    return select.select([], [pipe], [], 0)[1] == []


def printed_by(code: str) -> str:
    """What Python code prints in a process of its own, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=process_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def scene_batch(
    *arguments: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        command(*arguments),
        env=process_environment(environment),
        input=stdin,
        cwd=cwd,
        capture_output=True,
        check=False,
        timeout=120,
    )


@contextmanager
def started(
    words: Sequence[str], environment: Mapping[str, str] | None = None, **more: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block."""
    with subprocess.Popen(words, env=process_environment(environment), **more) as process:
        try:
            yield process
        finally:
            process.kill()


def command(*arguments: str | os.PathLike[str]) -> Sequence[str]:
    """The command line's words, without relying on the PATH."""
    code = "from scene_batch.cli import program; program()"
    return [sys.executable, "-W", "error", "-c", code, *(os.fspath(a) for a in arguments)]


def process_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the source roots on the module path."""
    roots = os.pathsep.join(
        str(ROOT / room) for room in ("runner", "train", "export", "report", "serve", "cluster")
    )
    return {**os.environ, "PYTHONPATH": roots, **(more or {})}


class Dies(BaseException):
    """What a kill looks like from inside."""


class StepsToDieAt:
    """Counts calls of functions, and raises ``Dies`` instead of the one after ``step``."""

    def __init__(self, step: int) -> None:
        self._step, self.taken = step, 0

    def counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A function that is counted, and dies at its turn."""

        def call(*words: Any, **more: Any) -> Any:
            self.taken += 1
            if self.taken == self._step + 1:
                raise Dies
            return real(*words, **more)

        return call


def small_picture() -> Image.Image:
    """A picture of 48x32 whose four corners differ, with soft colours, as codecs like them."""
    down, right = np.mgrid[0:32, 0:48]
    pixels = np.stack([right * 5, down * 7, 255 - right * 2 - down * 3], axis=2)
    return Image.fromarray(pixels.astype(np.uint8))
