"""Sizes and boxes: how large a photo is resized, and which part of it the model sees."""

from __future__ import annotations

from typing import Literal, TypeAlias

from PIL import Image

Box: TypeAlias = tuple[float, float, float, float]
"""(left, upper, right, lower) in pixels, with fractions."""
Size: TypeAlias = tuple[int, int]
"""(width, height) in pixels."""
Rounding = Literal["down", "nearest"]
Centre = Literal["rounded", "floor"]


def centred_box(size: Size, target: Size) -> Box:
    """The largest centred box of ``target``'s shape in ``size``, both (width, height)."""
    width, height = size
    scale = min(width / target[0], height / target[1])
    box_width, box_height = scale * target[0], scale * target[1]
    left, upper = max(0.0, (width - box_width) / 2), max(0.0, (height - box_height) / 2)
    # Rounding may put an edge a trifle outside, which Pillow refuses.
    return (left, upper, min(left + box_width, width), min(upper + box_height, height))


def kept_shape(size: Size, target: Size, *, longer: bool, rounding: Rounding) -> Size:
    """The size of a photo of ``size`` that is resized to ``target`` and keeps its shape.

    Args:
        size: The photo's.
        target: What one of its edges becomes.
        longer: That edge is the one that is longer, seen against ``target``; else the shorter.
        rounding: Of the other edge: ``down`` as torchvision's and transformers' ``Resize`` do,
            ``nearest`` as timm's ``ResizeKeepRatio``.
    """
    by_width = (size[0] * target[1] > size[1] * target[0]) == longer
    first = 0 if by_width else 1
    other = 1 - first
    if rounding == "down":
        length = int(target[first] * size[other] / size[first])
    else:
        length = round(size[other] / (size[first] / target[first]))
    length = max(1, length)
    return (target[0], length) if by_width else (length, target[1])


def centred(
    image: Image.Image, size: Size, centre: Centre, pad: tuple[int, int, int]
) -> Image.Image:
    """The middle of an RGB image, of exactly ``size``; around a smaller one is ``pad``."""
    if image.size == size:
        return image
    left, upper = (
        _margin(there - wanted, centre) for there, wanted in zip(image.size, size, strict=True)
    )
    if left >= 0 and upper >= 0 and image.width >= size[0] and image.height >= size[1]:
        return image.crop((left, upper, left + size[0], upper + size[1]))
    whole = Image.new("RGB", size, pad)
    whole.paste(image, (-left, -upper))
    return whole


def _margin(difference: int, centre: Centre) -> int:
    """What is cut off at the left or upper edge; negative where it is padded.

    ``floor`` is transformers' rule. ``rounded`` is torchvision's: ``round`` (half to even) where
    something is cut off, and the smaller part at the left where it is padded.
    """
    if centre == "floor":
        return difference // 2
    return round(difference / 2) if difference >= 0 else -(-difference // 2)
