"""Scores of queries with a streamed gallery: equal vectors score equal wherever they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from registry.arrays import BoolArray, Float32Array, Int64Array

from ._parts import part_rows

# Every product has the same width, a multiple of any kernel's. A matrix product may round a
# column at the ragged edge differently from the same column elsewhere, and equal vectors must
# score equal wherever they are stored.
CHUNK = 4096

ROWS = 512  # queries of a piece

PAD = 16  # scores between rows: rows a power of two apart fall on the same lines of the cache

_LARGEST = 1e37  # of a score: well inside float32


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Scores of some queries with one chunk of the gallery.

    Attributes:
        number: of these rows of queries.
        rows: which queries.
        first: gallery position of the first item.
        n_items: items of the gallery that are in it.
        whole: scores, -inf behind the gallery's last item; may be overwritten, and the next piece
            will. Shape: (n_rows, CHUNK)
        flags: room for what is found out about them. Shape: (n_rows, CHUNK)
    """

    number: int
    rows: slice
    first: int
    n_items: int
    whole: Float32Array
    flags: BoolArray

    @property
    def scores(self) -> Float32Array:
        """Those of items in the gallery, a view. Shape: (n_rows, n_items)."""
        return self.whole[:, : self.n_items]

    def parts(self, n: int) -> list[Piece]:
        """Return its queries in up to `n` parts, which share nothing."""
        return [
            replace(
                self,
                rows=slice(self.rows.start + part.start, self.rows.start + part.stop),
                whole=self.whole[part],
                flags=self.flags[part],
            )
            for part in part_rows(len(self.whole), n)
        ]

    @property
    def stop(self) -> int:
        """Gallery position behind the last item."""
        return self.first + self.n_items


def stream_scores(
    queries: Float32Array,
    gallery: Iterable[Float32Array],
    n_gallery: int,
    *,
    is_l2: bool,
    is_comparable: bool = False,
    n_rows: int = ROWS,
) -> Iterator[Piece]:
    """Yield the scores of all queries with all items, a piece at a time; larger is closer.

    The gallery is read once. Every score is a product of the same width, whatever its place.

    Args:
        queries: Shape: (n_queries, dim)
        gallery: blocks in order. Shape of each: (any, dim)
        n_gallery: items that the blocks hold together.
        is_l2: score by squared distance instead of inner product: 2 <q, g> - ||g||^2.
        is_comparable: whether scores of different queries are compared with one threshold;
            the ||q||^2 that is missing above is then taken off.
        n_rows: queries of a piece.

    Raises:
        ValueError: as `score_block`, or if there are more or fewer items.
    """
    norms = _squared_norms(queries)
    with np.errstate(over="ignore"):
        scaled = 2.0 * queries if is_l2 else queries
    longest = _longest(_squared_norms(scaled))
    room = np.empty((min(n_rows, len(queries)), CHUNK + PAD), dtype=np.float32)
    flags = np.empty((len(room), CHUNK), dtype=np.bool_)
    for place, chunk in enumerate(_chunks(exactly(gallery, n_gallery), queries.shape[1])):
        squares = _squared_norms(chunk)
        _check_finite(longest, _longest(squares))
        n_items = min(CHUNK, n_gallery - place * CHUNK)
        for number, start in enumerate(range(0, len(queries), n_rows)):
            rows = slice(start, min(start + n_rows, len(queries)))
            whole = room[: rows.stop - start, :CHUNK]
            np.matmul(scaled[rows], chunk.T, out=whole)
            if is_l2:
                whole -= squares
            if is_l2 and is_comparable:
                whole -= norms[rows, None]
            whole[:, n_items:] = -np.inf
            yield Piece(number, rows, place * CHUNK, n_items, whole, flags[: len(whole)])


class PairPlaces:
    """Finds in each piece the (query, gallery position) pairs that lie in it."""

    def __init__(self, queries: Int64Array, positions: Int64Array, n_rows: int = ROWS) -> None:
        """Sort the pairs by piece.

        Args:
            queries: Shape: (n_pairs,)
            positions: Shape: (n_pairs,)
            n_rows: queries of a piece.
        """
        self._order = np.lexsort((positions, queries // n_rows))
        self._number = (queries // n_rows)[self._order]
        self._row = (queries % n_rows)[self._order]
        self._position = positions[self._order]

    def within(self, piece: Piece) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return which pairs lie in a piece, and their rows and columns there."""
        low, high = np.searchsorted(self._number, [piece.number, piece.number + 1])
        inside = slice(
            low + np.searchsorted(self._position[low:high], piece.first),
            low + np.searchsorted(self._position[low:high], piece.stop),
        )
        return self._order[inside], self._row[inside], self._position[inside] - piece.first


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
    """Return the scores that a row needs room for: whole chunks, and what is between rows."""
    return -(-n_gallery // CHUNK) * CHUNK + PAD


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

    They are where the gallery is if they lie there as they are needed, otherwise in one and the
    same array; only that much of a mapped gallery must be in memory.
    """
    buffer = np.zeros((CHUNK, dim), dtype=np.float32)
    filled = 0
    for block in gallery:
        check_block(block, dim)
        taken = 0
        while taken < len(block):
            if not filled and len(block) - taken >= CHUNK and block.flags.c_contiguous:
                yield block[taken : taken + CHUNK]
                taken += CHUNK
                continue
            n_rows = min(CHUNK - filled, len(block) - taken)
            buffer[filled : filled + n_rows] = block[taken : taken + n_rows]
            taken, filled = taken + n_rows, filled + n_rows
            if filled == CHUNK:
                yield buffer
                filled = 0
    if filled:
        buffer[filled:] = 0.0
        yield buffer


def check_block(block: Float32Array, dim: int) -> None:
    """Refuse a block of a gallery that is not float32 of a dim.

    Raises:
        ValueError: naming dtype and shape.
    """
    if block.ndim != 2 or block.dtype != np.float32 or block.shape[1] != dim:
        raise ValueError(
            f"gallery blocks must be float32 of shape (n, {dim}), like the queries, "
            f"but one is {block.dtype} of shape {block.shape}"
        )
