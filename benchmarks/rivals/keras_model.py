"""The Keras model of the Keras rivals."""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
from plain import Card, arguments


def keras_arguments(description: str | None) -> argparse.ArgumentParser:
    """The arguments of a Keras rival."""
    parser = arguments(description)
    parser.add_argument("--keras", type=Path, help="a .keras file; else Xception, random weights")
    return parser


def load(path: Path | None, card: Card) -> keras.Model:
    """Load a model, or build Xception with random weights.

    Keras traces it at the first calls; a few of those first keep that out of the rate of a ready
    model.
    """
    return keras.models.load_model(path, compile=False) if path else _xception(card)


def _xception(card: Card) -> keras.Model:
    photos = keras.Input((card.height, card.width, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(photos)
    xception = keras.applications.Xception(
        weights=None, classes=len(card.classes), input_shape=(card.height, card.width, 3)
    )
    return keras.Model(photos, xception(scaled))
