"""Python values into Arrow columns, by their buffers.

``pa.array`` would do it, but it first imports pandas where that is installed, which takes a second,
to see whether a list is one of its series.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def strings(values: Sequence[str | None]) -> pa.StringArray:
    """UTF-8 strings, null where None."""
    encoded = [b"" if value is None else value.encode() for value in values]
    buffers = [_validity(values), _offsets(encoded), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def numbers(values: Sequence[float | None], kind: pa.DataType, dtype: npt.DTypeLike) -> pa.Array:
    """Numbers of an Arrow type that is laid out as ``dtype``, null where None."""
    data = np.array([0 if value is None else value for value in values], dtype)
    return pa.Array.from_buffers(kind, len(values), [_validity(values), pa.py_buffer(data)])


def lists(lengths: Sequence[int | None], items: pa.Array, kind: pa.ListType) -> pa.ListArray:
    """Lists cut from ``items`` one after the other, null where the length is None."""
    buffers = [_validity(lengths), _offsets([range(length or 0) for length in lengths])]
    return pa.Array.from_buffers(kind, len(lengths), buffers, children=[items])


def _validity(values: Sequence[object]) -> pa.Buffer:
    """One bit a value, least significant first; 0 is null (Arrow columnar format)."""
    present = np.array([value is not None for value in values], bool)
    return pa.py_buffer(np.packbits(present, bitorder="little"))


def _offsets(values: Sequence[bytes | range]) -> pa.Buffer:
    """Where each value begins, and where the last one ends: int32."""
    return pa.py_buffer(np.cumsum([0, *map(len, values)], dtype=np.int32))
