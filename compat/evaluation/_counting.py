"""Scores of a block of queries, and the ranks of their relevant items by counting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from registry.arrays import Float32Array, Int64Array

from ._relevance import Relevance
from ._ties import Ranks

# Every product has the same width, a multiple of any kernel's. A matrix product may round a
# column at the ragged edge differently from the same column elsewhere, and equal vectors must
# score equal wherever they are stored.
CHUNK = 4096

_FEW = 12  # so many relevant items are counted one by one; more pay for buckets
_MAX_BUCKETS = 2**16
_LARGEST = 1e37  # of a score: well inside float32


def score_block(
    queries: Float32Array, gallery: Iterable[Float32Array], out: Float32Array, *, is_l2: bool
) -> None:
    """Write the scores of all gallery items into `out`; larger is closer.

    For squared distances the score is 2 <q, g> - ||g||^2: the ||q||^2 that is missing is the same
    for all items of a query and would only cost digits.

    Args:
        queries: Shape: (n_queries, dim)
        gallery: blocks in order, each read once. Shape of each: (any, dim)
        out: room for `padded` scores a query. Shape: (n_queries, padded(n_gallery))
        is_l2: score by squared distance instead of inner product.

    Raises:
        ValueError: if a block is not float32 with the queries' dim, or a score may be NaN or
            infinite.
    """
    with np.errstate(over="ignore"):
        scaled = 2.0 * queries if is_l2 else queries
    longest = _longest(_squared_norms(scaled))
    for number, chunk in enumerate(_chunks(gallery, queries.shape[1])):
        squares = _squared_norms(chunk)
        _check_finite(longest, _longest(squares))
        part = out[:, number * CHUNK : (number + 1) * CHUNK]
        np.matmul(scaled, chunk.T, out=part)
        if is_l2:
            part -= squares


def _squared_norms(vectors: Float32Array) -> Float32Array:
    with np.errstate(over="ignore", invalid="ignore"):
        squares: Float32Array = np.einsum("ij,ij->i", vectors, vectors)
    return squares


def _longest(squared_norms: Float32Array) -> float:
    return math.sqrt(float(squared_norms.max()))


def _check_finite(query_norm: float, gallery_norm: float) -> None:
    """Bound all scores by the norms (Cauchy-Schwarz); NaN passes no comparison."""
    if not query_norm * gallery_norm + gallery_norm**2 < _LARGEST:
        raise ValueError(
            "scores must be finite but could be NaN or infinite: the longest query has norm "
            f"{query_norm} and the longest gallery vector {gallery_norm}"
        )


def padded(n_gallery: int) -> int:
    """Return the scores that a row needs room for: whole chunks."""
    return -(-n_gallery // CHUNK) * CHUNK


def rank_positives(scores: Float32Array, relevance: Relevance, excluded: Int64Array) -> Ranks:
    """Return the ranks of each query's relevant items, by counting what scores above them.

    An item's own score is read from the same product as the scores it is compared with, so that
    equality is exact.

    Args:
        scores: Shape: (n_queries, n_gallery)
        relevance: of the same queries, none empty, none holding its excluded item.
        excluded: gallery position that does not exist for the query, or -1. Shape: (n_queries,)
    """
    own = np.empty(len(relevance.indices), dtype=np.float32)
    above, tied = np.empty_like(relevance.indices), np.empty_like(relevance.indices)
    gains = None if relevance.gains is None else np.empty_like(relevance.gains)
    bounds = relevance.indptr.tolist()
    for row, start, stop in zip(scores, bounds[:-1], bounds[1:], strict=True):
        positions = relevance.indices[start:stop]
        count = _count_each if stop - start <= _FEW else _count_in_buckets
        ascending = row.take(positions)
        if gains is not None and relevance.gains is not None:
            gains[start:stop] = relevance.gains[start:stop][np.argsort(ascending)[::-1]]
        ascending.sort()
        higher, equal = count(row, positions, ascending)
        own[start:stop] = ascending[::-1]  # best first, as Ranks wants them
        above[start:stop], tied[start:stop] = higher[::-1], equal[::-1]
    lost = np.repeat(scores[np.arange(len(scores)), excluded], relevance.n_relevant)
    exists = np.repeat(excluded >= 0, relevance.n_relevant)
    above -= exists & (lost > own)
    tied -= exists & (lost == own)
    return Ranks.from_counts(relevance.indptr, above, tied, gains)


def exactly(gallery: Iterable[Float32Array], n_gallery: int) -> Iterator[Float32Array]:
    """Yield the blocks, and insist that they hold `n_gallery` items together.

    Counted while streaming, because a block may be costly to make.

    Raises:
        ValueError: if there are more or fewer.
    """
    found = 0
    for block in gallery:
        found += len(block)
        if found > n_gallery:
            break
        yield block
    if found != n_gallery:
        more = "or more" if found > n_gallery else "in all"
        raise ValueError(
            f"relevance is for {n_gallery} gallery items but the gallery has {found} {more}"
        )


def _chunks(gallery: Iterable[Float32Array], dim: int) -> Iterator[Float32Array]:
    """Yield the gallery in pieces of `CHUNK` rows, the last filled up with zeros.

    The same array is yielded again and again; only that much of a mapped gallery is in memory.
    """
    buffer = np.zeros((CHUNK, dim), dtype=np.float32)
    filled = 0
    for block in gallery:
        _check_block(block, dim)
        taken = 0
        while taken < len(block):
            n_rows = min(CHUNK - filled, len(block) - taken)
            buffer[filled : filled + n_rows] = block[taken : taken + n_rows]
            taken, filled = taken + n_rows, filled + n_rows
            if filled == CHUNK:
                yield buffer
                filled = 0
    if filled:
        buffer[filled:] = 0.0
        yield buffer


def _check_block(block: Float32Array, dim: int) -> None:
    if block.ndim != 2 or block.dtype != np.float32 or block.shape[1] != dim:
        raise ValueError(
            f"gallery blocks must be float32 of shape (n, {dim}), like the queries, "
            f"but one is {block.dtype} of shape {block.shape}"
        )


def _count_each(
    row: Float32Array, _positions: Int64Array, own: Float32Array
) -> tuple[Int64Array, Int64Array]:
    """Count by comparing each relevant score with the whole row: two passes an item."""
    higher = [np.count_nonzero(row > score) for score in own]
    equal = [np.count_nonzero(row == score) for score in own]
    return np.array(higher, dtype=np.int64), np.array(equal, dtype=np.int64)


def _count_in_buckets(
    row: Float32Array, positions: Int64Array, own: Float32Array
) -> tuple[Int64Array, Int64Array]:
    """Count by buckets: whole buckets at once, single scores only where a relevant item lies.

    The bucket of a score is a non-decreasing function of it, so whatever is in a higher bucket
    scores higher; only the scores that share a bucket with a relevant item are sorted.

    Args:
        row: all scores of one query. Shape: (n_gallery,)
        positions: its relevant items. Shape: (n_relevant,)
        own: their scores, ascending. Shape: (n_relevant,)
    """
    buckets, n_buckets = _buckets(row)
    own_buckets = buckets.take(positions)
    own_buckets.sort()
    holds_positive = np.zeros(n_buckets, dtype=np.bool_)
    holds_positive[own_buckets] = True
    near = row.compress(holds_positive.take(buckets))
    near.sort()
    not_higher = near.searchsorted(own, side="right")
    equal = not_higher - near.searchsorted(own, side="left")
    sizes = np.bincount(buckets, minlength=n_buckets)
    sizes[own_buckets] = 0  # what is left is far: not in a bucket with a relevant item
    far_below = sizes.cumsum().take(own_buckets)
    return len(row) - far_below - not_higher, equal.astype(np.int64)


def _buckets(row: Float32Array) -> tuple[Int64Array, int]:
    """Return the bucket of each score, even slices of the range from lowest to highest."""
    n_buckets = min(len(row), _MAX_BUCKETS)
    low, high = row.min(), row.max()
    spread = float(high) - float(low)
    if not 1e-30 < spread < 1e30:  # the scale would leave float32: one bucket, all sorted
        return np.zeros(len(row), dtype=np.int64), 1
    heights = row - low
    heights *= np.float32(n_buckets / spread)
    return heights.astype(np.int64), n_buckets + 2  # rounding may reach one past the last
