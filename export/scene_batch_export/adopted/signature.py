"""Which input of a foreign graph takes the photo, how it lies, and which output classifies.

Nothing is guessed silently: each finding comes with its evidence, and what the graph does not tell
is asked for by the option that says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import onnx
from onnx import numpy_helper

from scene_batch.errors import ModelError, UsageError
from scene_batch.model.geometry import Size
from scene_batch_export.adopted.known import Known
from scene_batch_export.adopted.original import FLOATS, INPUTS, Tensor, inputs, outputs

Layout = Literal["nchw", "nhwc"]
_CHANNELS, _IMAGE_RANK, _ANSWER_RANKS = 3, 4, (2, 4)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a foreign graph is given, and what it gives."""

    input: Tensor
    output: Tensor
    layout: Layout
    size: Size | None
    """(width, height); None where the graph takes any."""

    @property
    def batch(self) -> int | None:
        """Photos that it takes at a time; None: any number."""
        return self.input.shape[0]


def signature_of(model: onnx.ModelProto, known: Known) -> Signature:
    """Find them, by what is known and by the graph; the layout is put where it was not known.

    Raises:
        ModelError: It takes no photo, or gives no probabilities of classes.
        UsageError: It cannot be told: the message names the option that says it.
    """
    given = _photo(inputs(model), known.get("input"))
    layout = _layout(model, given, known)
    height, width = given.shape[2:] if layout == "nchw" else given.shape[1:3]
    size = (width, height) if width and height else None
    return Signature(given, _answer(model, known), layout, size)


def _photo(found: Sequence[Tensor], name: str | None) -> Tensor:
    if name is not None:
        wanted = next((each for each in found if each.name == name), None)
        if wanted is None:
            names = ", ".join(each.name for each in found)
            raise UsageError(f"--input {name!r} is no input of the model; it has: {names}")
        found = [wanted]
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise ModelError(f"it has not one input for a photo, but {names}: no classifier of photos")
    (given,) = found
    if given.type not in INPUTS or len(given.shape) != _IMAGE_RANK:
        raise ModelError(f"its input {given} takes no photos of shape [N, 3, h, w] or [N, h, w, 3]")
    if _CHANNELS not in (given.shape[1] or _CHANNELS, given.shape[3] or _CHANNELS):
        raise ModelError(f"its input {given} has not 3 channels: it takes no colour photos")
    return given


def _layout(model: onnx.ModelProto, given: Tensor, known: Known) -> Layout:
    _, first, _, last = given.shape
    if first == _CHANNELS != last:
        known.put("layout", "nchw", f"the input's shape {list(given.shape)}")
    elif last == _CHANNELS != first:
        known.put("layout", "nhwc", f"the input's shape {list(given.shape)}")
    else:
        known.put("layout", *_layout_by_use(model, given))
    layout: Layout | None = known.get("layout")
    if layout is None:
        raise UsageError(f"whether its input {given} is NCHW or NHWC cannot be told: say --layout")
    if (first if layout == "nchw" else last) not in (None, _CHANNELS):
        raise UsageError(f"--layout {layout}: its input {given} has other dimensions")
    return layout


def _layout_by_use(model: onnx.ModelProto, given: Tensor) -> tuple[Layout | None, str]:
    """The layout by what uses the input first: ONNX convolves NCHW alone."""
    constants = {each.name: each for each in model.graph.initializer}
    name = given.name
    for node in model.graph.node:
        if name not in node.input[:1]:
            continue
        if node.op_type == "Conv" and node.input[1] in constants:
            channels = numpy_helper.to_array(constants[node.input[1]]).shape[1]
            if channels == _CHANNELS:
                return "nchw", f"a convolution of 3 channels takes the input {given.name!r}"
        if node.op_type == "Transpose":
            perm = [int(axis) for each in node.attribute for axis in each.ints]
            if perm == [0, 3, 1, 2]:
                return "nhwc", f"the input {given.name!r} is transposed to NCHW first"
            return None, ""
        if node.op_type in ("Cast", "Sub", "Mul", "Add", "Div", "Identity"):
            name = node.output[0]
    return None, ""


def _answer(model: onnx.ModelProto, known: Known) -> Tensor:
    found, name = outputs(model), known.get("output")
    if name is not None:
        wanted = next((each for each in found if each.name == name), None)
        if wanted is None:
            names = ", ".join(each.name for each in found)
            raise UsageError(f"--output {name!r} is no output of the model; it has: {names}")
        return wanted
    fitting = [each for each in found if _may_classify(each, known)]
    if len(fitting) == 1:
        if len(found) > 1:
            known.put("output", fitting[0].name, f"the one of {len(found)} that fits the classes")
        return fitting[0]
    names = ", ".join(map(str, found))
    if not fitting:
        raise ModelError(
            f"its output {names} is not [N, classes]{_how_many(known)}: no classifier of that kind"
        )
    raise UsageError(f"which output classifies cannot be told, {names}: say --output")


def _may_classify(each: Tensor, known: Known) -> bool:
    if each.type not in FLOATS or len(each.shape) not in _ANSWER_RANKS:
        return False
    if any(dim not in (1, None) for dim in each.shape[2:]):
        return False
    classes = known.get("classes")
    return each.shape[1] is None or classes is None or each.shape[1] == len(classes)


def _how_many(known: Known) -> str:
    classes = known.get("classes")
    return "" if classes is None else f" of {len(classes)} classes ({known.sources['classes']})"
