"""Scores of queries with a streamed gallery: equal vectors score equal wherever they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from registry.arrays import BoolArray, Float32Array

# Every product has the same width, a multiple of any kernel's. A matrix product may round a
# column at the ragged edge differently from the same column elsewhere, and equal vectors must
# score equal wherever they are stored.
CHUNK = 4096

ROWS = 512  # queries of a piece

PAD = 16  # scores between rows

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

    @property
    def stop(self) -> int:
        """Gallery position behind the last item."""
        return self.first + self.n_items


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """So many items of the gallery as are scored at a time.

    Attributes:
        vectors: zeros behind the gallery's last item. Shape: (CHUNK, dim)
        squares: their squared norms. Shape: (CHUNK,)
        first: gallery position of the first item.
        n_items: items of the gallery that are in it.
    """

    vectors: Float32Array
    squares: Float32Array
    first: int
    n_items: int


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """Where a thread has the scores of a piece, and what it finds out about them."""

    scores: Float32Array
    flags: BoolArray

    @classmethod
    def empty(cls, n_rows: int) -> Room:
        """Return room for so many queries."""
        # rows a power of two apart would fall on the same lines of the cache
        scores = np.empty((n_rows, CHUNK + PAD), dtype=np.float32)
        return cls(scores[:, :CHUNK], np.empty((n_rows, CHUNK), dtype=np.bool_))


class Scorer:
    """Scores queries with a gallery, a piece at a time; larger is closer.

    Every score is a product of the same width, whatever its place.
    """

    def __init__(
        self,
        queries: Float32Array,
        *,
        is_l2: bool,
        is_comparable: bool = False,
        n_rows: int = ROWS,
    ) -> None:
        """Nothing is scored yet.

        Args:
            queries: Shape: (n_queries, dim)
            is_l2: score by squared distance instead of inner product: 2 <q, g> - ||g||^2.
            is_comparable: whether scores of different queries are compared with one threshold;
                the ||q||^2 that is missing above is then taken off.
            n_rows: queries of a piece.
        """
        self._norms = _squared_norms(queries)
        with np.errstate(over="ignore"):
            self._queries = 2.0 * queries if is_l2 else queries
        self._is_l2, self._is_comparable, self._n_rows = is_l2, is_comparable, n_rows
        self.n_pieces = -(-len(queries) // n_rows)  # for each chunk

    def chunks(self, gallery: Iterable[Float32Array], n_gallery: int) -> Iterator[Chunk]:
        """Yield the gallery, which is read once; a chunk is overwritten by the next.

        Args:
            gallery: blocks in order. Shape of each: (any, dim)
            n_gallery: items that the blocks hold together.

        Raises:
            ValueError: as `score_block`, or if there are more or fewer items.
        """
        longest = _longest(_squared_norms(self._queries))
        blocks = exactly(gallery, n_gallery)
        for place, vectors in enumerate(_chunks(blocks, self._queries.shape[1])):
            squares = _squared_norms(vectors)
            _check_finite(longest, _longest(squares))
            n_items = min(CHUNK, n_gallery - place * CHUNK)
            yield Chunk(vectors, squares, place * CHUNK, n_items)

    def piece(self, chunk: Chunk, number: int, room: Room) -> Piece:
        """Score some queries; the result is in the room."""
        rows = slice(number * self._n_rows, min((number + 1) * self._n_rows, len(self._queries)))
        whole = room.scores[: rows.stop - rows.start]
        np.matmul(self._queries[rows], chunk.vectors.T, out=whole)
        if self._is_l2:
            whole -= chunk.squares
        if self._is_l2 and self._is_comparable:
            whole -= self._norms[rows, None]
        whole[:, chunk.n_items :] = -np.inf
        return Piece(number, rows, chunk.first, chunk.n_items, whole, room.flags[: len(whole)])


def stream_scores(
    queries: Float32Array,
    gallery: Iterable[Float32Array],
    n_gallery: int,
    *,
    is_l2: bool,
    is_comparable: bool = False,
    n_rows: int = ROWS,
) -> Iterator[Piece]:
    """Yield the scores of all queries with all items, a piece at a time; see `Scorer`."""
    scorer = Scorer(queries, is_l2=is_l2, is_comparable=is_comparable, n_rows=n_rows)
    room = Room.empty(min(n_rows, len(queries)))
    for chunk in scorer.chunks(gallery, n_gallery):
        for number in range(scorer.n_pieces):
            yield scorer.piece(chunk, number, room)


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
