"""What the runner promises of itself: ``python benchmarks/claims.py SMALL LARGE``.

SMALL holds photos of 150x150, LARGE photos of 12 megapixels (``benchmarks/photos.py`` makes them).
Measured in rounds, each claim beside what it is compared with:

- the Python around each photo: a model that costs nothing against a bare pool that decodes;
- one photo, whole process, against the imports that it cannot do without;
- ``auto`` against the best of a sweep, for SMALL, for LARGE and with one processor less;
- peak memory of a run at ``auto``.

Prints Markdown lines.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from machine import described
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "runner")]

from scene_batch.model.card import ModelCard  # noqa: E402
from scene_batch.model.compute_options import ComputeOptions  # noqa: E402
from scene_batch.model.digest import with_digest  # noqa: E402
from scene_batch.model.predictor import Predictor  # noqa: E402 - where the repository is
from scene_batch.model.preprocess import Preprocess  # noqa: E402
from scene_batch.pipeline.bench import Setting, measure  # noqa: E402
from scene_batch.pipeline.job import Job  # noqa: E402
from scene_batch.pipeline.run import run  # noqa: E402
from scene_batch.processors import usable_cpus  # noqa: E402
from scene_batch.records import ImageRef  # noqa: E402
from scene_batch.sources.listing import Listing  # noqa: E402

ROUNDS = 5
SWITCH_SECONDS = 0.0005
"""As the command sets it."""
IMPORTS = "import numpy, onnxruntime, PIL.Image"
SCENE_BATCH = [sys.executable, "-c", "from scene_batch.cli import program; program()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "runner")}
SIDE, PATCH = 150, 16


def model_that_costs_nothing(path: Path) -> Path:
    """One layer: the mean colour of a patch in the middle."""
    middle = [(SIDE - PATCH) // 2] * 2
    constants = {
        "begin": np.array(middle, np.int64),
        "end": np.array([number + PATCH for number in middle], np.int64),
        "axes": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["image", "begin", "end", "axes"], ["patch"]),
        helper.make_node("Cast", ["patch"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
        helper.make_node("Softmax", ["mean"], ["probabilities"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    out = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "patch", [image], [out], weights)
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    card = ModelCard(
        ("red", "green", "blue"), Preprocess(SIDE, SIDE), "patch", "1.0.0", "2026-01-01", "fp32"
    )
    path.write_bytes(with_digest(model.SerializeToString(), card.to_metadata()))
    return path


def python_around_each_photo(photos: Path, folder: Path) -> str:
    """Photos/s of a run with that model, against decoding alone in a bare pool of threads."""
    predictor = Predictor.open(
        model_that_costs_nothing(folder / "patch.onnx"), ComputeOptions("cpu")
    )
    paths = [str(path) for path in sorted(photos.rglob("*.jpg"))]

    def decode(path: str) -> None:
        with open(path, "rb") as file:  # noqa: PTH123 - as thin as can be
            image = Image.open(file)
            image.load()
            np.asarray(image)

    ours, bare = [], []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        with ThreadPoolExecutor(usable_cpus()) as pool:
            for _done in pool.map(decode, paths):
                pass
        bare.append(len(paths) / (time.perf_counter() - begun))
        sys.setswitchinterval(SWITCH_SECONDS)
        begun = time.perf_counter()
        run(Job((str(photos),), str(folder / "p.parquet"), overwrite=True), predictor)
        ours.append(len(paths) / (time.perf_counter() - begun))
        sys.setswitchinterval(0.005)
    ratio = statistics.median(mine / its for mine, its in zip(ours, bare, strict=True))
    return (
        f"one layer, {len(paths)} photos of {SIDE}x{SIDE}: {statistics.median(ours):.0f} photos/s,"
        f" decoding alone in a pool {statistics.median(bare):.0f}: ratio {ratio:.2f}"
    )


def one_photo(photo: Path, folder: Path) -> str:
    """Seconds of the whole process for one photo, against the imports."""
    words = [*SCENE_BATCH, "run", str(photo), "--out", str(folder / "one.csv")]
    both: dict[str, list[float]] = {"run": [], "imports": []}
    for _ in range(3 * ROUNDS):
        for name, command in (
            ("imports", [sys.executable, "-c", IMPORTS]),
            ("run", [*words, "--overwrite", "--quiet"]),
        ):
            begun = time.perf_counter()
            subprocess.run(command, check=True, env=ENVIRONMENT)
            both[name].append(time.perf_counter() - begun)
    run_, imports = statistics.median(both["run"]), statistics.median(both["imports"])
    return f"one photo: {run_:.3f} s, `{IMPORTS}` {imports:.3f} s: {run_ / imports:.2f} times"


def auto_against_the_best(title: str, photos: Path, processors: Sequence[int]) -> str:
    """Photos/s at ``auto`` against the best of other settings, with some of the processors."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        cpus = usable_cpus()
        refs: list[ImageRef] = list(islice(Listing([str(photos)]), 500))
        settings = [
            Setting(ComputeOptions("cpu")),
            *(Setting(ComputeOptions("cpu", batch_size=size)) for size in (1, 2, 4, 8, 16)),
            *(Setting(ComputeOptions("cpu", threads=threads)) for threads in range(1, cpus + 2)),
            *(Setting(ComputeOptions("cpu"), workers) for workers in (cpus + 1, 2 * cpus)),
        ]
        auto = settings[0]
        rates: dict[Setting, list[float]] = {}
        for _ in range(3):
            for setting in settings:
                measured = measure(None, refs, setting, 3.0)
                rates.setdefault(measured.took, []).append(measured.photos_per_second)
                auto = measured.took if setting == settings[0] else auto
    finally:
        os.sched_setaffinity(0, all_of_them)
    medians = {took: statistics.median(values) for took, values in rates.items()}
    best = max(medians, key=medians.__getitem__)
    words = f"batch size {best.batch_size}, {best.threads} threads, {best.workers} workers"
    return (
        f"{title}: auto {medians[auto]:.1f} photos/s, the best of {len(medians)} settings"
        f" ({words}) {medians[best]:.1f}: {medians[auto] / medians[best]:.2f}"
    )


def peak_memory(photos: Path, folder: Path) -> str:
    """Of a run at ``auto``, whole process."""
    out = folder / f"{photos.name}.parquet"
    words = [*SCENE_BATCH, "run", str(photos), "--out", str(out), "--quiet"]
    with subprocess.Popen(words, env=ENVIRONMENT) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the run over {photos} ended with {process.returncode}")
    return f"peak memory over {photos.name}: {usage.ru_maxrss / 1024:.0f} MB"


def main() -> None:
    """Measure and print."""
    small, large = map(Path, sys.argv[1:3])
    processors = sorted(os.sched_getaffinity(0))
    half = processors[: max(1, len(processors) // 2)]
    print(f"\n## What the runner promises\n\n{described()}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"- {one_photo(next(small.rglob('*.jpg')), folder)}", flush=True)
        print(f"- {python_around_each_photo(small, folder)}", flush=True)
        print(f"- {peak_memory(small, folder)}", flush=True)
        print(f"- {peak_memory(large, folder)}", flush=True)
        for title, photos, some in (
            ("150x150", small, processors),
            ("12 megapixels", large, processors),
            (f"150x150, {len(half)} of {len(processors)} processors", small, half),
        ):
            print(f"- {auto_against_the_best(title, photos, some)}", flush=True)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"- (this benchmark itself: {own:.0f} MB)")


if __name__ == "__main__":
    main()
