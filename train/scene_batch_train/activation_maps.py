"""What a network looks at in a photo, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from scene_batch_train.network import features_and_slopes, looked_at
from scene_batch_train.photos import PhotoSet
from scene_batch_train.pictures import picture

_CHANNELS = 6
_SAMPLES = 8


def one_of_each_class(photos: PhotoSet) -> list[int]:
    """The first photo of each class, for at most eight classes."""
    return sorted(int(i) for i in np.unique(photos.class_indices, return_index=True)[1])[:_SAMPLES]


def grad_cam(
    model: keras.Model,
    photos: PhotoSet,
    samples: Sequence[int],
    classes: Sequence[str],
    out: Path,
) -> None:
    """Where the most probable class comes from in each photo.

    Selvaraju et al. 2017, Grad-CAM, equations 1 and 2, on the last convolution's features. What
    follows them is their mean, an optional ReLU layer and a product, so the gradients are exact
    sums of weights, and the same with every Keras backend.
    """
    pixels = np.stack([photos.pixels[sample] for sample in samples])
    features, slopes, answers = features_and_slopes(model, pixels)
    maps = np.maximum((features * slopes[:, None, None, :]).sum(axis=-1), 0)
    with picture(out, 2, len(samples), width=2 * len(samples), height=4.4, frames=False) as axes:
        for index, (photo, heat) in enumerate(zip(pixels, maps, strict=True)):
            axes[index].imshow(photo)
            label = classes[photos.class_indices[samples[index]]]
            title = f"{classes[answers[index]]}\nlabelled {label}"
            axes[index].set_title(title, fontsize=8)
            below = axes[len(samples) + index]
            below.imshow(photo)
            height, width = photo.shape[:2]
            below.imshow(
                heat, cmap="jet", alpha=0.45, interpolation="bilinear", extent=(0, width, height, 0)
            )


def activations(model: keras.Model, photo: npt.NDArray[np.uint8], out: Path) -> None:
    """The most active features of some layers, from the first convolutions to the last."""
    names = looked_at(model)
    looker = keras.Model(model.input, [model.get_layer(name).output for name in names])
    with picture(
        out, len(names), _CHANNELS + 1, width=10, height=1.6 * len(names), frames=False
    ) as axes:
        for row, (name, found) in enumerate(
            zip(names, looker.predict_on_batch(photo[None]), strict=True)
        ):
            panels = axes[row * (_CHANNELS + 1) :]
            panels[0].imshow(photo)
            panels[0].set_title(name, fontsize=8)
            maps = np.asarray(found[0], np.float32)
            strongest = np.argsort(-maps.std(axis=(0, 1)), kind="stable")[:_CHANNELS]
            for panel, channel in zip(panels[1:], strongest, strict=False):
                panel.imshow(maps[..., channel], cmap="viridis")
