"""A foreign model as its file has it: opened safely, and computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from scene_batch.errors import ModelError, ModelNotFoundError
from scene_batch.model.providers import failures, reason

MOST_BYTES = (1 << 31) - (1 << 20)
"""An ONNX file with its weights inside has at most 2 GiB."""

FLOATS: dict[int, Any] = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}
"""Types of an input that takes numbers, and of an output that gives some."""

INPUTS: dict[int, Any] = {**FLOATS, TensorProto.UINT8: np.uint8}
"""Types of an input that takes a photo."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output: its name, type and dimensions; None where one is free."""

    name: str
    type: int
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        """As a person would write it."""
        kind = TensorProto.DataType.Name(self.type).lower() if self.type else "no tensor"
        return f"{self.name!r} ({kind} {['?' if d is None else d for d in self.shape]})"


def load(path: Path) -> onnx.ModelProto:
    """Read a foreign file with its external data.

    Raises:
        ModelNotFoundError: It is not there.
        ModelError: It is no ONNX file, is too large, or its data lie where they must not.
    """
    if not path.is_file():
        raise ModelNotFoundError(f"no such model file: {str(path)!r}")
    if path.stat().st_size > MOST_BYTES:
        raise _too_large(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError, ValueError) as error:
        raise ModelError(f"{str(path)!r} is no ONNX file ({_line(error)})") from None
    if not model.graph.node:
        raise ModelError(f"{str(path)!r} is no ONNX file: it has no nodes")
    _check_external(model, path)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"the weights of {str(path)!r} cannot be read: {_line(error)}") from None
    return model


def external_files(path: Path) -> list[Path]:
    """The files that hold a model's weights beside it; none where it is no model, or too large."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return []
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError, ValueError):
        return []
    return [path.parent / where for where in _locations(model)]


def _locations(model: onnx.ModelProto) -> set[str]:
    """Where the weights are said to lie that are not in the model's own file."""
    return {
        {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        for tensor in _tensors(model.graph)
        if tensor.data_location == TensorProto.EXTERNAL
    }


def _check_external(model: onnx.ModelProto, path: Path) -> None:
    """Refuse external data that are outside the model's folder, missing, or too much."""
    folder, total = path.parent.resolve(), path.stat().st_size
    files: set[Path] = set()
    for where in _locations(model):
        file = (folder / where).resolve()
        if not where or Path(where).is_absolute() or not file.is_relative_to(folder):
            raise ModelError(
                f"the weights of {str(path)!r} are said to lie at {where!r}, outside its folder;"
                " export it again with its weights inside"
            )
        if not file.is_file():
            raise ModelError(
                f"{str(path)!r} has its weights in {where!r}, which is not beside it; copy it there"
            )
        files.add(file)
    if total + sum(file.stat().st_size for file in files) > MOST_BYTES:
        raise _too_large(path)


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """All constants of a graph and of those within it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _too_large(path: Path) -> ModelError:
    return ModelError(
        f"{str(path)!r} has 2 GiB of weights or more, which no single ONNX file can hold; adopt a"
        " smaller model, or export it in float16"
    )


def without_zip_map(model: onnx.ModelProto) -> tuple[str, ...] | None:
    """Let a model give numbers where it gives a map from class to number, in place.

    Returns:
        The class names that the map has; None where there is none.
    """
    graph = model.graph
    node = next((each for each in graph.node if each.op_type == "ZipMap"), None)
    if node is None:
        return None
    names = [
        name.decode(errors="replace")
        for attribute in node.attribute
        if attribute.name == "classlabels_strings"
        for name in attribute.strings
    ]
    rest = [each for each in graph.output if each.name != node.output[0]]
    copies = [onnx.ValueInfoProto.FromString(each.SerializeToString()) for each in rest]
    del graph.output[:]
    shape = [None, len(names) or None]
    value = onnx.helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, shape)
    graph.output.extend([value, *copies])
    graph.node.remove(node)
    return tuple(names) or None


def inputs(model: onnx.ModelProto) -> list[Tensor]:
    """What a model must be given, its constants left out."""
    constants = {each.name for each in model.graph.initializer}
    return [_tensor(value) for value in model.graph.input if value.name not in constants]


def outputs(model: onnx.ModelProto) -> list[Tensor]:
    """What a model gives."""
    return [_tensor(value) for value in model.graph.output]


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = (
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in kind.shape.dim
    )
    return Tensor(value.name, kind.elem_type, tuple(shape))


class Computed:
    """A model in memory, computed by ONNX Runtime on the processor; ``what`` names it in errors.

    Raises:
        ModelError: ONNX Runtime cannot open it.
    """

    def __init__(self, model: onnx.ModelProto, what: str) -> None:
        import onnxruntime

        self._what = what
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except failures() as error:
            raise ModelError(f"ONNX Runtime cannot open {what}: {reason(error)}") from None

    def __call__(
        self, name: str, values: npt.NDArray[Any], wanted: Sequence[str]
    ) -> list[npt.NDArray[Any]]:
        """The wanted outputs for one input.

        Raises:
            ModelError: It fails.
        """
        try:
            return [np.asarray(each) for each in self._session.run(list(wanted), {name: values})]
        except failures() as error:
            raise ModelError(f"{self._what} fails: {reason(error)}") from None


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
