"""fp32 to fp16: for GPUs with fast half precision; what goes in and comes out stays as it is."""

from __future__ import annotations

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert the network's weights and activations to float16.

    ``image`` stays uint8 and ``probabilities`` float32, and the softmax is computed in float32:
    half a probability's digits would be lost in it.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    converted: onnx.ModelProto = convert_float_to_float16(
        copy, keep_io_types=True, op_block_list=["Softmax"]
    )
    return converted
