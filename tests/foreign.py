"""Small classifiers as other tools export them: layouts, batches, types, metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 32


def foreign(
    *,
    layout: str = "nchw",
    batch: int | str = "batch",
    size: int | str = SIZE,
    kind: int = TensorProto.FLOAT,
    end: str = "logits",
    classes: int = 4,
    opset: int = 17,
    pads: int = 1,
    names: tuple[str, str] = ("input", "output"),
    metadata: Mapping[str, str] | None = None,
    more_outputs: bool = False,
    wrong_batches: bool = False,
    tensors: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """A network of two convolutions.

    Args:
        layout: Of its input.
        batch: Of its input: a number fixes it.
        size: Of its input; a text leaves it free.
        kind: Of its numbers.
        end: ``logits``, ``softmax``, ``percent``, ``sigmoid`` or ``1x1``: logits of shape
            [N, classes, 1, 1].
        classes: How many.
        opset: The version of its operators.
        pads: What the first convolution pads.
        names: Of input and output.
        metadata: Of the file.
        more_outputs: Whether it gives its features, too.
        wrong_batches: Whether it mixes the photos of a batch up.
        tensors: Other names for some of its tensors.
    """
    random = np.random.default_rng(5)
    half = kind == TensorProto.FLOAT16
    number = np.float16 if half else np.float32
    given, wanted = names
    channels = 8
    values = {
        "w1": random.normal(0, 0.25, (channels, 3, 3, 3)).astype(number),
        "b1": random.normal(0, 0.1, channels).astype(number),
        "w2": random.normal(0, 0.4, (channels, channels, 3, 3)).astype(number),
        "w3": random.normal(0, 0.7, (classes, channels)).astype(number),
        "b3": random.normal(0, 0.1, classes).astype(number),
    }
    shape: list[Any] = [batch, 3, size, size] if layout == "nchw" else [batch, size, size, 3]
    first = given
    nodes = []
    if kind == TensorProto.UINT8:
        nodes += [
            helper.make_node("Cast", [first], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "part"], ["scaled"]),
        ]
        values["part"] = np.array(1 / 255, np.float32)
        first = "scaled"
    if layout == "nhwc":
        nodes.append(helper.make_node("Transpose", [first], ["turned"], perm=[0, 3, 1, 2]))
        first = "turned"
    pooled_shape = [batch, channels] if isinstance(batch, int) else [-1, channels]
    values["shape"] = np.array(pooled_shape, np.int64)
    nodes += [
        helper.make_node("Conv", [first, "w1", "b1"], ["c1"], pads=[pads] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["flat"]),
    ]
    last = "flat"
    if wrong_batches:
        nodes.append(helper.make_node("ReduceMean", [last], ["mixed"], axes=[0], keepdims=1))
        nodes.append(helper.make_node("Add", [last, "mixed"], ["shifted"]))
        last = "shifted"
    plain = end == "logits"
    nodes.append(
        helper.make_node("Gemm", [last, "w3", "b3"], [wanted if plain else "logits"], transB=1)
    )
    if end == "softmax":
        nodes.append(helper.make_node("Softmax", ["logits"], [wanted], axis=1))
    if end == "percent":
        values["hundred"] = np.array(100, number)
        nodes.append(helper.make_node("Softmax", ["logits"], ["shares"], axis=1))
        nodes.append(helper.make_node("Mul", ["shares", "hundred"], [wanted]))
    if end == "sigmoid":
        nodes.append(helper.make_node("Sigmoid", ["logits"], [wanted]))
    if end == "1x1":
        values["apart"] = np.array([-1, classes, 1, 1], np.int64)
        nodes.append(helper.make_node("Reshape", ["logits", "apart"], [wanted]))
    for node in nodes:
        node.input[:] = [(tensors or {}).get(name, name) for name in node.input]
        node.output[:] = [(tensors or {}).get(name, name) for name in node.output]
    values = {(tensors or {}).get(name, name): value for name, value in values.items()}
    numbers = TensorProto.FLOAT if kind == TensorProto.UINT8 else kind
    answer = [batch, classes, 1, 1] if end == "1x1" else [batch, classes]
    outputs = [helper.make_tensor_value_info(wanted, numbers, answer)]
    if more_outputs:
        outputs.append(helper.make_tensor_value_info("flat", numbers, [batch, channels]))
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info(given, kind, shape)],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
        producer_name="elsewhere",
    )
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    return model


def saved(model: onnx.ModelProto, path: Path, labels: Sequence[str] = ("a", "b", "c", "d")) -> Path:
    """Save a model, with its labels beside it where there are any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    if labels:
        (path.parent / "labels.txt").write_text("\n".join(labels), encoding="utf-8")
    return path
