"""Which photos show the same: exact and near duplicates, found by small thumbnails."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 16
"""Of a thumbnail, in pixels."""
_CELLS = 8
_BANDS = 7
_MOST_BITS = _BANDS - 1
"""Of two near duplicates' 112 bits, as many may differ: so one of 7 bands is equal for certain."""
_LEAST_CORRELATION = 0.95
"""Of two near duplicates' thumbnails. Among 9,000 photos of scenes, pairs above it were resized,
recompressed, or taken a moment later; below 0.93 different skies and woods began to meet."""

Thumbnails = npt.NDArray[np.uint8]
"""``uint8 (photos, SIDE, SIDE, 3)``."""


def similar_pairs(thumbnails: Thumbnails) -> npt.NDArray[np.int64]:
    """Find near duplicates: the same photo resized, recompressed or slightly changed.

    Candidates are found by difference hashes (each of 8x8 cells brighter than its right and lower
    neighbour; 112 bits) that share a band of 16 bits, and confirmed by the correlation of their
    thumbnails. Photos of one flat colour have nothing to compare and are never similar.

    Photos that are joined already, through others too, are not compared again: of many photos that
    show the same, as many pairs are found as join them, and time and memory stay in bounds.

    Returns:
        int64 ``(pairs, 2)``: indices of photos, the smaller first, sorted.
    """
    bands = _bands(thumbnails)
    group = np.arange(len(thumbnails))
    found = [np.empty((0, 2), np.int64)]
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        for bucket in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            for place, photo in enumerate(bucket[:-1]):
                others = bucket[place + 1 :]
                others = others[group[others] != group[photo]]
                pairs = _similar(thumbnails, bands, photo, others)
                if len(pairs):
                    group[np.isin(group, group[pairs])] = group[photo]
                    found.append(pairs)
    return np.unique(np.concatenate(found), axis=0)


def groups_of(count: int, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number the groups that pairs make, each photo alone being one: int64 ``(count,)``."""
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    groups: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return groups


def _bands(thumbnails: Thumbnails) -> npt.NDArray[np.uint16]:
    """The difference hashes: uint16 ``(photos, _BANDS)``."""
    step = SIDE // _CELLS
    cells = thumbnails.reshape(-1, _CELLS, step, _CELLS, step * 3).sum(axis=(2, 4), dtype=np.int64)
    right, lower = cells[:, :, 1:] > cells[:, :, :-1], cells[:, 1:] > cells[:, :-1]
    bits = np.concatenate([b.reshape(len(b), -1) for b in (right, lower)], axis=1)
    bands: npt.NDArray[np.uint16] = np.packbits(bits, axis=1).view(np.uint16)
    return bands


def _similar(
    thumbnails: Thumbnails,
    bands: npt.NDArray[np.uint16],
    photo: np.int64,
    others: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """The pairs of a photo with those of the others that are near duplicates of it."""
    bits = np.bitwise_count(bands[others] ^ bands[photo]).sum(axis=1)
    near = others[bits <= _MOST_BITS]
    pairs = np.column_stack([np.full(len(near), photo), near])
    return pairs[_correlations(thumbnails, pairs) >= _LEAST_CORRELATION]


def _correlations(thumbnails: Thumbnails, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Correlation of each pair over places, not channels; 0 where one has no contrast."""
    first, second = (thumbnails[pairs[:, side]].astype(float) for side in (0, 1))
    first -= first.mean(axis=(1, 2), keepdims=True)
    second -= second.mean(axis=(1, 2), keepdims=True)
    size = np.sqrt((first**2).sum(axis=(1, 2, 3)) * (second**2).sum(axis=(1, 2, 3)))
    correlations: npt.NDArray[np.float64] = (first * second).sum(axis=(1, 2, 3)) / (size + 1e-9)
    return correlations
