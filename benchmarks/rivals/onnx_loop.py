"""A plain ONNX Runtime loop: ``python benchmarks/rivals/onnx_loop.py MODEL PHOTOS OUT.csv``.

One photo after another, as ONNX Runtime's own examples do it, with default options.
"""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from plain import Card, Run, arguments, pixels_of


def main() -> None:
    """Classify and report."""
    options = arguments(__doc__).parse_args()
    run = Run(options)
    session = ort.InferenceSession(options.model, providers=["CPUExecutionProvider"])
    card = Card.of(session.get_modelmeta().custom_metadata_map)
    run.ready()
    rows = [
        session.run(None, {"image": pixels_of(path, card)[np.newaxis]})[0][0] for path in run.photos
    ]
    run.finish(np.stack(rows), card.classes, f"onnxruntime {ort.__version__}")


if __name__ == "__main__":
    main()
