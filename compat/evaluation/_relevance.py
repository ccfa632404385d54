"""Which gallery items are relevant to which query, in compressed sparse rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import BoolArray, Float64Array, Int64Array, LabelArray


@dataclass(frozen=True, slots=True, eq=False)
class Relevance:
    """The gallery positions that are relevant to each query.

    Query ``i`` owns ``indices[indptr[i]:indptr[i + 1]]``, ascending and without repeats.

    Attributes:
        indptr: where each query's positions start, and where the last one's end.
            Shape: (n_queries + 1,)
        indices: gallery positions in [0, n_gallery). Shape: (n_pairs,)
        n_gallery: items in the gallery.
        gains: how relevant each position is, above 0, or None if all are equally. Only nDCG
            weighs them; to all other metrics what has a gain is relevant. Shape: (n_pairs,)

    Raises:
        ValueError: if the arrays are not such rows.
    """

    indptr: Int64Array
    indices: Int64Array
    n_gallery: int
    gains: Float64Array | None = None

    def __post_init__(self) -> None:
        for name, array in (("indptr", self.indptr), ("indices", self.indices)):
            if array.ndim != 1 or array.dtype != np.int64:
                raise ValueError(
                    f"{name} must be a 1-d int64 array but got {array.dtype} of shape {array.shape}"
                )
        self._check_rows()
        self._check_indices()
        self._check_gains()

    @classmethod
    def from_labels(cls, query_labels: LabelArray, gallery_labels: LabelArray) -> Relevance:
        """Call relevant what has the query's label.

        Args:
            query_labels: integers or strings. Shape: (n_queries,)
            gallery_labels: the same kind. Shape: (n_gallery,)

        Raises:
            ValueError: if the labels are not 1-d arrays of one kind, integers or strings.
        """
        queries, gallery = _as_labels(query_labels, "query"), _as_labels(gallery_labels, "gallery")
        if queries.dtype.kind != gallery.dtype.kind:
            raise ValueError(
                "query and gallery labels must be of one kind "
                f"but got {queries.dtype} and {gallery.dtype}"
            )
        order = np.argsort(gallery, kind="stable").astype(np.int64)
        ascending = gallery[order]
        first = np.searchsorted(ascending, queries, side="left").astype(np.int64)
        last = np.searchsorted(ascending, queries, side="right").astype(np.int64)
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(last - first)])
        within = np.arange(indptr[-1], dtype=np.int64) - np.repeat(indptr[:-1], last - first)
        return cls(indptr, order[np.repeat(first, last - first) + within], len(gallery))

    @property
    def n_queries(self) -> int:
        """Queries, with or without a relevant item."""
        return len(self.indptr) - 1

    @property
    def n_relevant(self) -> Int64Array:
        """Relevant items of each query. Shape: (n_queries,)."""
        return np.diff(self.indptr)

    def rows(self, start: int, stop: int) -> Relevance:
        """Return the queries from `start` up to, but without, `stop`."""
        return self.take(np.arange(start, stop))

    def take(self, queries: Int64Array) -> Relevance:
        """Return some queries, in the order given."""
        sizes = self.n_relevant[queries]
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        within = np.arange(indptr[-1], dtype=np.int64) - np.repeat(indptr[:-1], sizes)
        kept = np.repeat(self.indptr[queries], sizes) + within
        gains = None if self.gains is None else self.gains[kept]
        return Relevance(indptr, self.indices[kept], self.n_gallery, gains)

    def without(self, excluded: Int64Array) -> Relevance:
        """Return the relevance that is left when each query loses one gallery position.

        Args:
            excluded: a gallery position, or -1 for none. Shape: (n_queries,)
        """
        keep = self.indices != np.repeat(excluded, self.n_relevant)
        kept_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(keep, dtype=np.int64)])
        gains = None if self.gains is None else self.gains[keep]
        return Relevance(kept_before[self.indptr], self.indices[keep], self.n_gallery, gains)

    def holds(self, positions: Int64Array) -> BoolArray:
        """Return whether one gallery position of each query is relevant to it; -1 never is.

        Args:
            positions: Shape: (n_queries,)
        """
        query = np.repeat(np.arange(self.n_queries), self.n_relevant)
        found = np.zeros(self.n_queries, dtype=np.bool_)
        found[query[self.indices == np.repeat(positions, self.n_relevant)]] = True
        return found

    def _check_rows(self) -> None:
        ends_well = len(self.indptr) > 0 and self.indptr[-1] == len(self.indices)
        if not ends_well or self.indptr[0] != 0 or np.any(np.diff(self.indptr) < 0):
            raise ValueError(
                "indptr must start with 0, never fall and end with the number of indices, "
                f"which is {len(self.indices)}"
            )

    def _check_indices(self) -> None:
        if len(self.indices) == 0:
            return
        low, high = self.indices.min(), self.indices.max()
        if low < 0 or high >= self.n_gallery:
            raise ValueError(f"indices must be in [0, {self.n_gallery}) but lie in [{low}, {high}]")
        rises = np.diff(self.indices) > 0
        starts = self.indptr[1:-1]
        rises[starts[(starts > 0) & (starts < len(self.indices))] - 1] = True
        if not rises.all():
            raise ValueError("indices must ascend without repeats within each query")

    def _check_gains(self) -> None:
        if self.gains is None:
            return
        if self.gains.shape != self.indices.shape or self.gains.dtype != np.float64:
            raise ValueError(
                f"gains must be float64 of shape {self.indices.shape}, one for each index, "
                f"but got {self.gains.dtype} of shape {self.gains.shape}"
            )
        wrong = self.gains[~((self.gains > 0) & (self.gains < np.inf))]
        if len(wrong):
            raise ValueError(
                f"gains must be finite and above 0 but {len(wrong)} are not, such as {wrong[0]}; "
                "leave out what is not relevant"
            )


def _as_labels(labels: LabelArray, side: str) -> LabelArray:
    """Return int64 or str labels; anything else is refused rather than compared loosely."""
    array = np.asarray(labels)
    is_integer = array.dtype.kind in "iu" and np.can_cast(array.dtype, np.int64)
    if array.ndim != 1 or not (is_integer or array.dtype.kind == "U"):
        raise ValueError(
            f"{side} labels must be a 1-d array of integers or strings "
            f"but got {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.int64) if is_integer else array
