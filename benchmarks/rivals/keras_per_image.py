"""Keras, a call for each photo: ``python benchmarks/rivals/keras_per_image.py MODEL PHOTOS OUT``.

What most published projects do. Xception gets random weights, since no speed depends on them; of
MODEL only the size and the classes are read. ``--keras FILE`` takes trained weights.
"""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
from keras_model import keras_arguments, load
from plain import Card, Run, pixels_of


def main() -> None:
    """Classify and report."""
    options = keras_arguments(__doc__).parse_args()
    card = Card.from_file(options.model)
    run = Run(options)
    model = load(options.keras, card)

    def probabilities(path: str) -> npt.NDArray[np.float32]:
        rows: npt.NDArray[np.float32] = model.predict(pixels_of(path, card)[np.newaxis], verbose=0)
        return rows[0]

    probabilities(run.photos[0])
    run.ready()
    rows = [probabilities(path) for path in run.photos]
    run.finish(np.stack(rows), card.classes, f"keras {keras.__version__}")


if __name__ == "__main__":
    main()
