"""OpenVINO alone, its calls side by side.

``python benchmarks/rivals/openvino_async.py MODEL PHOTOS OUT.csv [--batch N]``

The recipe of OpenVINO's guide for throughput: the hint THROUGHPUT, an ``AsyncInferQueue`` of as
many requests as it asks for, and a model of a fixed batch. Two threads decode ahead. On a processor
that has it, OpenVINO computes an fp32 model in bfloat16, unless ``--f32``.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino as ov
from plain import Card, Pixels, Run, arguments, pixels_of

DECODERS = len(os.sched_getaffinity(0))


def main() -> None:
    """Classify and report."""
    parser = arguments(__doc__)
    parser.add_argument("--batch", type=int, default=1, help="photos of each call")
    parser.add_argument("--f32", action="store_true", help="never compute in bfloat16")
    options = parser.parse_args()
    run = Run(options)
    core = ov.Core()
    model = core.read_model(options.model)
    metadata = model.get_rt_info()["framework"]
    card = Card.of({key: metadata[key].value for key in metadata})
    model.reshape({"image": [options.batch, card.height, card.width, 3]})
    hints = {"PERFORMANCE_HINT": "THROUGHPUT"}
    if options.f32:
        hints["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = core.compile_model(model, "CPU", hints)
    rows = np.empty((len(run.photos), len(card.classes)), np.float32)

    def keep(request: ov.InferRequest, begin: int) -> None:
        found = request.get_output_tensor().data
        rows[begin : begin + options.batch] = found[: len(rows) - begin]

    def decoded(begin: int) -> Pixels:
        batch = np.zeros((options.batch, card.height, card.width, 3), np.uint8)
        for place, path in enumerate(run.photos[begin : begin + options.batch]):
            batch[place] = pixels_of(path, card)
        return batch

    queue = ov.AsyncInferQueue(compiled)
    queue.set_callback(keep)
    begins = range(0, len(run.photos), options.batch)
    run.ready()
    with ThreadPoolExecutor(DECODERS) as pool:
        for begin, batch in zip(begins, pool.map(decoded, begins), strict=True):
            queue.start_async({"image": batch}, begin)
        queue.wait_all()
    run.finish(rows, card.classes, f"openvino {ov.__version__}")


if __name__ == "__main__":
    main()
