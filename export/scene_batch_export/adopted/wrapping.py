"""A foreign graph made ours: ``image`` in, ``probabilities`` out, all that is between inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from scene_batch.errors import ModelError
from scene_batch_export.adopted.pipeline import Pipeline
from scene_batch_export.adopted.signature import Signature
from scene_batch_export.folding import PIXELS, fold_scaling, used_by

_IMAGE, _PROBABILITIES = "image", "probabilities"
_OURS = (_IMAGE, _PROBABILITIES, PIXELS, "turned")
_IR_VERSION, _OPSET = 8, 17
_OLDEST_OPSET = 13
"""Of quantisation for each channel."""


def wrapped(
    model: onnx.ModelProto,
    signature: Signature,
    pipeline: Pipeline,
    *,
    classes: int,
    softmax: bool,
) -> onnx.ModelProto:
    """The model with what leads to its input and what follows its output.

    uint8 ``image`` ``[N, height, width, 3]`` in, float32 ``probabilities`` ``[N, classes]`` out.
    Scaling is folded into the first convolution where that is exact.

    Args:
        model: The foreign one; it is not changed.
        signature: Its input and output.
        pipeline: What becomes of a photo.
        classes: How many.
        softmax: Whether its output is logits.

    Raises:
        ModelError: It is of an old opset that cannot be converted.
    """
    ours = _modern(model)
    graph = ours.graph
    _free_names(graph)
    width, height = pipeline.preprocess.size
    _free_batch(graph, signature)
    nodes = [*_lead(signature, pipeline), *graph.node, *_tail(signature, softmax=softmax)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    for number, node in enumerate(copies):  # quantisation tells nodes by their names
        node.name = node.name or f"foreign_{number}"
    del graph.node[:]
    graph.node.extend(copies)
    graph.initializer.extend(_constants(pipeline))
    del graph.input[:]
    del graph.output[:]
    del graph.value_info[:]
    shape: list[str | int | None] = ["N", height, width, 3]
    graph.input.append(helper.make_tensor_value_info(_IMAGE, TensorProto.UINT8, shape))
    found = helper.make_tensor_value_info(_PROBABILITIES, TensorProto.FLOAT, ["N", classes])
    graph.output.append(found)
    _drop_unused(graph)
    fold_scaling(ours)
    return ours


def _modern(model: onnx.ModelProto) -> onnx.ModelProto:
    copy: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    opset = next((each.version for each in copy.opset_import if each.domain in ("", "ai.onnx")), 1)
    if opset < _OLDEST_OPSET:
        try:
            copy = version_converter.convert_version(copy, _OPSET)
        except Exception as error:  # noqa: BLE001 - RuntimeError and what is below it
            reason = str(error).splitlines()[0][:120]
            raise ModelError(
                f"its opset {opset} cannot be converted ({reason}); export it again with opset"
                f" {_OPSET}"
            ) from None
    copy.ir_version = max(copy.ir_version, _IR_VERSION)
    del copy.metadata_props[:]
    return copy


def _lead(signature: Signature, pipeline: Pipeline) -> Iterator[onnx.NodeProto]:
    """The nodes from the photo's bytes to the foreign input."""
    name = _IMAGE
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if pipeline.channels == "bgr":
        steps.append(("Gather", ["adopted_order"], {"axis": 3}))
    is_scaled = bool((pipeline.factor != 1).any() or pipeline.offset.any())
    kind = signature.input.type
    if kind != TensorProto.UINT8 or is_scaled:
        steps.append(("Cast", [], {"to": TensorProto.FLOAT}))
    if is_scaled:
        steps += [("Mul", ["adopted_factor"], {}), ("Add", ["adopted_offset"], {})]
    if signature.layout == "nchw":
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
    if kind == TensorProto.FLOAT16 or (kind == TensorProto.UINT8 and is_scaled):
        steps.append(("Cast", [], {"to": kind}))
    steps = steps or [("Identity", [], {})]
    for number, (op_type, more, attributes) in enumerate(steps):
        last = number == len(steps) - 1
        made = _renamed(signature.input.name) if last else f"adopted_{number}"
        yield helper.make_node(
            op_type, [name, *more], [made], f"adopted_{number}_{op_type}", **attributes
        )
        name = made


def _tail(signature: Signature, *, softmax: bool) -> Iterator[onnx.NodeProto]:
    """The nodes from the foreign output to the probabilities, which are computed in float32."""
    name = _renamed(signature.output.name)
    steps: list[tuple[str, dict[str, Any]]] = []
    if len(signature.output.shape) > 2:  # noqa: PLR2004 - [N, classes, 1, 1]
        steps.append(("Flatten", {"axis": 1}))
    if signature.output.type != TensorProto.FLOAT:
        steps.append(("Cast", {"to": TensorProto.FLOAT}))
    steps.append(("Softmax", {"axis": 1}) if softmax else ("Identity", {}))
    for number, (op_type, attributes) in enumerate(steps):
        made = _PROBABILITIES if number == len(steps) - 1 else f"adopted_answer_{number}"
        yield helper.make_node(
            op_type, [name], [made], f"adopted_answer_{number}_{op_type}", **attributes
        )
        name = made


def _constants(pipeline: Pipeline) -> Iterator[TensorProto]:
    yield numpy_helper.from_array(np.array([2, 1, 0], np.int64), "adopted_order")
    for name in ("factor", "offset"):
        values = getattr(pipeline, name).astype(np.float32)
        yield numpy_helper.from_array(values, f"adopted_{name}")


def _free_names(graph: onnx.GraphProto) -> None:
    """Rename what has a name of ours, in the graph and in those within it."""

    def walk(inner: onnx.GraphProto) -> None:
        for node in inner.node:
            node.input[:] = map(_renamed, node.input)
            node.output[:] = map(_renamed, node.output)
            for attribute in node.attribute:
                for each in (attribute.g, *attribute.graphs):
                    walk(each)
        for row in (inner.initializer, inner.input, inner.output, inner.value_info):
            for each in row:
                each.name = _renamed(each.name)

    walk(graph)


def _renamed(name: str) -> str:
    """A foreign name, which must not be one of ours, nor one that was renamed."""
    is_ours = name in _OURS or name.startswith(("adopted_", "folded_", "foreign_"))
    return f"foreign_{name}" if is_ours else name


def _free_batch(graph: onnx.GraphProto, signature: Signature) -> None:
    """Let a graph whose batch is fixed take any number of photos.

    Where it reshapes to a shape that begins with that number, 0 stands for as many as there are.
    """
    if signature.batch is None:
        return
    constants = {each.name: each for each in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = constants.get(node.input[1])
        maker = made.get(node.input[1])
        if shape is None and maker is not None and maker.op_type == "Constant":
            shape = maker.attribute[0].t
        if shape is None:
            continue
        values = numpy_helper.to_array(shape).copy()
        takes_zero = any(each.name == "allowzero" and each.i for each in node.attribute)
        if len(values) > 1 and values[0] == signature.batch and not takes_zero:
            values[0] = 0
            name = f"{node.output[0]}_adopted_shape"
            graph.initializer.append(numpy_helper.from_array(values, name))
            node.input[1] = name


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Leave out nodes and constants that no output needs."""
    needed, kept = {each.name for each in graph.output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
            needed |= set(used_by(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    constants = [each for each in graph.initializer if each.name in needed]
    copies = [TensorProto.FromString(each.SerializeToString()) for each in constants]
    del graph.initializer[:]
    graph.initializer.extend(copies)
