"""Which queries are ranked in which way, in parts that fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np

from registry.arrays import BoolArray, Float32Array, Int64Array

from ._counter import PENDING_BYTES
from ._counting import rank_positives
from ._parts import part_rows, run_parts
from ._relevance import Relevance
from ._scoring import CHUNK, ROWS, exactly, padded, score_block
from ._streaming import FEW, Few, rank_few
from ._ties import Ranks
from ._top import TopItems

_PAIR_BYTES = 128  # working memory for the ranks of one relevant item
_PIECE_ROW_BYTES = 12 * CHUNK  # and for the scores of one query with one chunk
_SHARES = 2  # pieces of each thread, if there are few queries
_LEAST_ROWS = 128  # unless that makes them too small for BLAS
_ONE_AT_A_TIME = Lock()  # BLAS has one number of threads for the whole process

Found = tuple[Int64Array, Ranks, TopItems | None]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What is ranked, and by what.

    Attributes:
        queries: Shape: (n_queries, dim)
        gallery: blocks in order. Shape of each: (any, dim)
        relevance: of the same queries, none empty, none holding its excluded item.
        excluded: gallery position that does not exist for the query, or -1. Shape: (n_queries,)
        is_l2: score by squared distance instead of inner product.
        top_k: how many first items are wanted.
        memory_bytes: of scores and ranks that are held at a time.
        n_threads: threads that score and count, at most.
    """

    queries: Float32Array
    gallery: Sequence[Float32Array]
    relevance: Relevance
    excluded: Int64Array
    is_l2: bool
    top_k: int
    memory_bytes: int
    n_threads: int

    def run(self) -> list[Found]:
        """Rank for all queries: which they are, their ranks and any first items, part by part.

        Raises:
            ValueError: if not even one query fits into memory.
        """
        with _ONE_AT_A_TIME:
            return self._run()

    def _run(self) -> list[Found]:
        found, left = [], np.ones(len(self.queries), dtype=np.bool_)
        for rows in self._few_at_a_time(self.relevance.n_relevant <= FEW):
            streamed = self._stream(rows)
            if streamed is not None:
                found.append(streamed)
                left[streamed[0]] = False
        for rows in self._many_at_a_time(left):
            found += self._hold(rows)
        return found

    def _stream(self, rows: Int64Array) -> Found | None:
        """Rank without holding scores, for those queries for which that is quicker."""
        n_threads, n_rows = self._pieces(len(rows))
        few = Few(
            self.queries[rows],
            self.gallery,
            self.relevance.take(rows),
            self.excluded[rows],
            self.is_l2,
            n_rows,
            self.top_k,
            n_threads,
        )
        found = rank_few(few)
        return None if found is None else (rows[found[0]], *found[1:])

    def _pieces(self, n_queries: int) -> tuple[int, int]:
        """Return how many threads score, and how many queries each at a time.

        Of few queries so few that threads can share; a single piece is left to BLAS's own threads.
        """
        held = self.memory_bytes // 2 // _PIECE_ROW_BYTES  # at least 1
        n_threads = min(self.n_threads, held)
        n_shares = 1 if n_threads == 1 else _SHARES * n_threads
        n_rows = min(ROWS, held // n_threads, max(_LEAST_ROWS, -(-n_queries // n_shares)))
        return min(n_threads, -(-n_queries // n_rows)), n_rows

    def _hold(self, rows: Int64Array) -> list[Found]:
        """Rank while all of the queries' scores are held."""
        n_gallery = self.relevance.n_gallery
        scores = np.empty((len(rows), padded(n_gallery)), dtype=np.float32)
        streamed = exactly(self.gallery, n_gallery)
        score_block(self.queries[rows], streamed, scores, is_l2=self.is_l2)
        held = scores[:, :n_gallery]
        parts = part_rows(len(rows), self.n_threads)
        with ThreadPoolExecutor(self.n_threads) as pool:
            return run_parts(pool, lambda part: self._rank_held(rows[part], held[part]), parts)

    def _rank_held(self, rows: Int64Array, held: Float32Array) -> Found:
        ranks = rank_positives(held, self.relevance.take(rows), self.excluded[rows])
        if self.top_k == 0:
            return rows, ranks, None
        losing = np.flatnonzero(self.excluded[rows] >= 0)
        held[losing, self.excluded[rows[losing]]] = -np.inf
        top = TopItems.empty(len(rows), self.top_k)
        top.take_all(0, held)
        return rows, ranks, top

    def _few_at_a_time(self, chosen: BoolArray) -> list[Int64Array]:
        """Part queries so that their relevant items, vectors and ranks, fit."""
        rows = np.flatnonzero(chosen)
        pair_bytes = _PAIR_BYTES + 4 * self.queries.shape[1]
        most = int(self.relevance.n_relevant[rows].max(initial=1))
        row_bytes = most * pair_bytes + PENDING_BYTES
        self._check_memory(2 * max(row_bytes, _PIECE_ROW_BYTES))
        n_rows = self.memory_bytes // 2 // row_bytes
        return [rows[start : start + n_rows] for start in range(0, len(rows), n_rows)]

    def _many_at_a_time(self, chosen: BoolArray) -> list[Int64Array]:
        """Part queries so that all of their scores, and the ranks, fit."""
        rows = np.flatnonzero(chosen)
        most = int(self.relevance.n_relevant[rows].max(initial=1))
        row_bytes = 4 * padded(self.relevance.n_gallery) + _PAIR_BYTES * most
        if len(rows):
            self._check_memory(row_bytes)
        n_rows = max(1, self.memory_bytes // row_bytes)
        return [rows[start : start + n_rows] for start in range(0, len(rows), n_rows)]

    def _check_memory(self, needed: int) -> None:
        if self.memory_bytes < needed:
            raise ValueError(
                f"memory_bytes must hold at least one query, {needed}, but got {self.memory_bytes}"
            )
