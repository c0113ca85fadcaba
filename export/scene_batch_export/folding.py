"""What the first layers compute on every photo, computed once: exact rewritings of a graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

_NCHW = (0, 3, 1, 2)
_CHANNELS = 3

PIXELS = "pixels"
"""The tensor that goes into the first convolution of a graph that was folded: the photo's bytes,
as floats."""


def fold_scaling(model: onnx.ModelProto) -> None:
    """Fold the input's scaling into the first convolution, in place.

    For ``x`` in 0 to 255, ``conv(a x + b, W) + c = conv(x, a W) + (c + b sum(W))``, with an ``a``
    and a ``b`` for each channel: exact where the convolution pads nothing, since padding would be
    zeros after the scaling, not before it. Channels that are taken in another order first become
    weights in another order. The photo's bytes then go into the convolution as they are, which int8
    needs no rounding for. A graph of another shape is left as it is.
    """
    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    chain = list(_chain(graph))
    gather = chain.pop(0) if chain and chain[0].op_type == "Gather" else None
    if [node.op_type for node in chain] != ["Cast", "Mul", "Add", "Transpose", "Conv"]:
        return
    cast, mul, add, transpose, conv = chain
    if cast.attribute[0].i != onnx.TensorProto.FLOAT:
        return
    shown = {output.name for output in graph.output}
    made = {node.output[0] for node in [*chain[:-1], *([gather] if gather else [])]}
    if shown & made or _perm(transpose) != list(_NCHW):
        return
    if not set(filter(None, conv.input[1:])) <= constants.keys():
        return
    factor, offset = (_of_channels(node, constants) for node in (mul, add))
    order = _order(gather, constants)
    weights = numpy_helper.to_array(constants[conv.input[1]]).astype(np.float64)
    if factor is None or offset is None or order is None or _pads(conv):
        return
    if weights.ndim != 4 or weights.shape[1] != len(order):  # noqa: PLR2004 - grouped, or 3-D
        return
    bias = numpy_helper.to_array(constants[conv.input[2]]) if any(conv.input[2:]) else 0.0
    folded = {
        "folded_weights": (factor[:, None, None] * weights)[:, np.argsort(order)],
        "folded_bias": bias + (offset[:, None, None] * weights).sum(axis=(1, 2, 3)),
    }
    conv.input[:] = [PIXELS, *folded]
    graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in folded.items()
    )
    first = onnx.helper.make_node("Transpose", [graph.input[0].name], ["turned"], perm=_NCHW)
    then = onnx.helper.make_node("Cast", ["turned"], [PIXELS], to=onnx.TensorProto.FLOAT)
    rest = [node for node in graph.node if node not in (gather, cast, mul, add, transpose)]
    _replace(graph, [first, then, *rest])


def feed_bytes(model: onnx.ModelProto) -> None:
    """Let the quantised first convolution take the photo's bytes themselves, in place.

    Where they are quantised by a scale of 1 and a zero point of 0, making them floats and rounding
    these is the identity.
    """
    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    cast = next((node for node in graph.node if PIXELS in node.output), None)
    users = _users(graph, PIXELS)
    if cast is None or [node.op_type for node in users] != ["QuantizeLinear"]:
        return
    (quantize,) = users
    if any(quantize.output[0] not in node.input for node in _users(graph, quantize.output[0])):
        return
    scale, zero_point = (numpy_helper.to_array(constants[name]) for name in quantize.input[1:])
    if scale != 1 or zero_point != 0:
        return
    for node in graph.node:
        node.input[:] = [cast.input[0] if n == quantize.output[0] else n for n in node.input]
    _replace(graph, [node for node in graph.node if node not in (cast, quantize)])


def used_by(node: onnx.NodeProto) -> Iterator[str]:
    """What a node takes, by the graphs within it, too."""
    yield from node.input
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for each in inner.node:
                yield from used_by(each)
            yield from (each.name for each in inner.output)


def _users(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    return [node for node in graph.node if name in used_by(node)]


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Give a graph other nodes, and drop the constants that none of them uses."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    used = {name for node in copies for name in used_by(node)}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _chain(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes from the input to the first convolution, as long as each has one user."""
    name = graph.input[0].name
    while len(users := _users(graph, name)) == 1:
        yield users[0]
        if users[0].op_type == "Conv":
            return
        name = users[0].output[0]


def _of_channels(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> npt.NDArray[np.float64] | None:
    """What a node multiplies each channel by, or adds to it: ``(3,)``; None where that varies."""
    found = [numpy_helper.to_array(constants[name]) for name in node.input if name in constants]
    if len(found) != 1 or found[0].size not in (1, _CHANNELS):
        return None
    if found[0].size == _CHANNELS and found[0].shape[-1] != _CHANNELS:
        return None
    return np.broadcast_to(found[0].astype(np.float64).reshape(-1), (_CHANNELS,))


def _order(
    gather: onnx.NodeProto | None, constants: dict[str, onnx.TensorProto]
) -> list[int] | None:
    """The order in which channels are taken; None where that is no order of three."""
    if gather is None:
        return list(range(_CHANNELS))
    if gather.input[1] not in constants or [each.i for each in gather.attribute] != [3]:
        return None
    order: list[int] = numpy_helper.to_array(constants[gather.input[1]]).reshape(-1).tolist()
    return order if sorted(order) == list(range(_CHANNELS)) else None


def _perm(transpose: onnx.NodeProto) -> list[int]:
    return [int(axis) for each in transpose.attribute for axis in each.ints]


def _pads(conv: onnx.NodeProto) -> bool:
    values = {each.name: onnx.helper.get_attribute_value(each) for each in conv.attribute}
    return any(values.get("pads", [])) or values.get("auto_pad", b"NOTSET") not in (
        b"NOTSET",
        b"VALID",
    )
