"""Keras to ONNX, with names that the runner knows."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras
import numpy as np
import onnx

from scene_batch.records import Pixels
from scene_batch_export.folding import fold_scaling
from scene_batch_train.figures import Probabilities

OPSET = 18
"""The newest that tf2onnx writes."""


def to_onnx(model: keras.Model) -> onnx.ModelProto:
    """Convert the network: uint8 ``image`` ``[N, h, w, 3]`` in, ``probabilities`` out.

    Raises:
        Exception: Whatever tf2onnx raises; by default it swallows its optimisers' errors.
    """
    os.environ["TF2ONNX_CATCH_ERRORS"] = "False"  # read when tf2onnx is imported
    import tensorflow as tf
    import tf2onnx

    _, height, width, _ = model.input_shape
    # Height and width stay fixed: only then does SAME padding become explicit.
    signature = tf.TensorSpec([None, height, width, 3], tf.uint8, name="image")

    @tf.function(input_signature=[signature])  # type: ignore[untyped-decorator,unused-ignore]
    def network(image: tf.Tensor) -> tf.Tensor:
        return model(image, training=False)

    converted: onnx.ModelProto
    converted, _ = tf2onnx.convert.from_function(network, input_signature=[signature], opset=OPSET)
    _rename_output(converted, "probabilities")
    fold_scaling(converted)
    for value in (*converted.graph.input, *converted.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return converted


def outputs_of_keras(model: keras.Model, pixels: Sequence[Pixels]) -> Probabilities:
    """What Keras itself computes."""
    batches = [np.stack(pixels[start : start + 32]) for start in range(0, len(pixels), 32)]
    return np.concatenate([keras.ops.convert_to_numpy(model(b, training=False)) for b in batches])


def _rename_output(model: onnx.ModelProto, name: str) -> None:
    output = model.graph.output[0]
    for node in model.graph.node:
        node.output[:] = [name if made == output.name else made for made in node.output]
        node.input[:] = [name if used == output.name else used for used in node.input]
    output.name = name
