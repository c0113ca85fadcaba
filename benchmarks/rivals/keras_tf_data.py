"""Keras with tf.data: ``python benchmarks/rivals/keras_tf_data.py MODEL PHOTOS OUT.csv``.

TensorFlow decodes and resizes in parallel and ahead, Keras takes batches of 32. The photo is
stretched, as ``tf.image.resize`` does it. Xception gets random weights, since no speed depends on
them; of MODEL only the size and the classes are read. ``--keras FILE`` takes trained weights.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras_model import keras_arguments, load
from plain import Card, Run

BATCH = 32


def dataset(photos: list[str], card: Card) -> tf.data.Dataset:
    """Batches of decoded photos, in order."""

    def decoded(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (card.height, card.width))

    paths = tf.data.Dataset.from_tensor_slices(photos)
    images = paths.map(decoded, num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def main() -> None:
    """Classify and report."""
    options = keras_arguments(__doc__).parse_args()
    card = Card.from_file(options.model)
    run = Run(options)
    model = load(options.keras, card)
    model.predict(dataset(run.photos[: BATCH + 1], card), verbose=0)  # a batch and an odd one
    run.ready()
    rows = model.predict(dataset(run.photos, card), verbose=0)
    run.finish(rows, card.classes, f"keras {keras.__version__}, tensorflow {tf.__version__}")


if __name__ == "__main__":
    main()
