"""Exact rewritings: the same numbers, with less work for each photo."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from scene_batch_export.folding import PIXELS, feed_bytes, fold_scaling

_RANDOM = np.random.default_rng(4)
_IMAGES = _RANDOM.integers(0, 256, (3, 9, 9, 3), np.uint8)


def _network(
    *,
    pads: int = 0,
    factor: Any = 1 / 127.5,
    bias: bool = True,
    perm: tuple[int, ...] = (0, 3, 1, 2),
    shown: bool = False,
    computed: bool = False,
    float_: int = TensorProto.FLOAT,
    order: list[int] | None = None,
) -> onnx.ModelProto:
    """A photo's bytes, scaled to -1 to 1, and one convolution.

    Args:
        pads: What the convolution pads.
        factor: Of the scaling.
        bias: Whether the convolution has one.
        perm: How the axes are turned.
        shown: Whether the scaled photo is an output, too.
        computed: Whether the weights are not constants.
        float_: What the photo's bytes become.
        order: In which the channels are taken first.
    """
    values = {
        "factor": np.array(factor, np.float32),
        "offset": np.array(-1, np.float32),
        "weights": _RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "bias": _RANDOM.normal(size=4).astype(np.float32),
        **({"order": np.array(order)} if order else {}),
    }
    nodes = [
        *([helper.make_node("Gather", ["image", "order"], ["i"], axis=3)] if order else []),
        helper.make_node("Cast", ["i" if order else "image"], ["a"], to=float_),
        helper.make_node("Mul", ["a", "factor"], ["b"]),
        helper.make_node("Add", ["b", "offset"], ["c"]),
        helper.make_node("Transpose", ["c"], ["d"], perm=perm),
        *([helper.make_node("Neg", ["weights"], ["other"])] if computed else []),
        helper.make_node(
            "Conv",
            ["d", "other" if computed else "weights", *(["bias"] if bias else [])],
            ["out"],
            pads=[pads] * 4,
        ),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 9, 9, 3])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 4, None, None])
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    outputs = [out]
    if shown:
        outputs.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, ["N", 9, 9, 3]))
    graph = helper.make_graph(nodes, "g", [image], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _outputs(model: onnx.ModelProto) -> np.ndarray[Any, Any]:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"image": _IMAGES})[0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("factor", [1 / 127.5, [1 / 127.5, 1 / 60, 1 / 128]])
@pytest.mark.parametrize("order", [None, [2, 1, 0], [1, 2, 0]])
def test_scaling_is_folded_into_the_first_convolution(
    bias: bool, factor: Any, order: list[int] | None
) -> None:
    model = _network(bias=bias, factor=factor, order=order)
    before = _outputs(model)
    fold_scaling(model)
    assert [node.op_type for node in model.graph.node] == ["Transpose", "Cast", "Conv"]
    assert {constant.name for constant in model.graph.initializer} == {
        "folded_weights",
        "folded_bias",
    }
    assert _outputs(model) == pytest.approx(before, abs=2e-5)


@pytest.mark.parametrize(
    "other",
    [
        {"pads": 1},
        {"factor": [[[1 / 127.5], [1 / 127.5], [1 / 128]]] * 3},
        {"perm": (0, 3, 2, 1)},
        {"shown": True},
        {"computed": True},
        {"float_": TensorProto.DOUBLE},
    ],
)
def test_what_could_not_be_exact_is_left_alone(other: dict[str, Any]) -> None:
    """As padding, which is zeros after the scaling, and a factor for each row."""
    model = _network(**other)
    untouched = model.SerializeToString()
    fold_scaling(model)
    assert model.SerializeToString() == untouched


def _quantised(scale: float, zero_point: int) -> onnx.ModelProto:
    """The folded network as the quantiser leaves its beginning."""
    model = _network()
    fold_scaling(model)
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(scale, np.float32), "s"),
            numpy_helper.from_array(np.array(zero_point, np.uint8), "z"),
        ]
    )
    quantise = helper.make_node("QuantizeLinear", [PIXELS, "s", "z"], ["q"])
    back = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["p"])
    model.graph.node[2].input[0] = "p"
    for place, node in ((2, quantise), (3, back)):
        model.graph.node.insert(place, node)
    return model


def test_bytes_go_into_the_first_quantised_layer_as_they_are() -> None:
    model = _quantised(1.0, 0)
    before = _outputs(model)
    feed_bytes(model)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Transpose", "DequantizeLinear", "Conv"]
    assert np.array_equal(_outputs(model), before)


@pytest.mark.parametrize(("scale", "zero_point"), [(0.5, 0), (1.0, 3)])
def test_bytes_that_would_be_rounded_are_not_fed(scale: float, zero_point: int) -> None:
    model = _quantised(scale, zero_point)
    untouched = model.SerializeToString()
    feed_bytes(model)
    assert model.SerializeToString() == untouched
