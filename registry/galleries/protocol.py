"""What an index back end is: a module with three functions, and the object that they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..arrays import Float32Array, Int64Array
from ..domain.galleries import IndexSpec, Metric


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest rows of each query, best first; missing places hold -1 and -inf at the end.

    Attributes:
        positions: row numbers within the segment. Shape: (n_queries, k).
        scores: similarities, larger is closer. Shape: (n_queries, k).
    """

    positions: Int64Array
    scores: Float32Array


class VectorIndex(Protocol):
    """A searchable set of vectors of one segment, exact or approximate.

    Positions count the vectors in the order in which `build` was given them. Scores are
    similarities: larger is closer, and l2 is minus the *squared* distance. Under cosine the index
    normalises what it stores, and queries come normalised (`prepare_queries` does that once).
    Equal scores may come in any order. Where fewer than k rows can be found, the last places hold
    position -1 and score -inf. Rows in `excluded` are never returned.

    An instance is read-only once it is built or opened, and several threads may search it at a
    time. Vectors, queries and `excluded` are never written to.
    """

    def search(
        self, queries: Float32Array, k: int, *, excluded: Int64Array | None = None
    ) -> Neighbours:
        """Find the k nearest rows of each query.

        Args:
            queries: finite, contiguous float32, normalised under cosine. Shape: (n, dim).
            k: how many, at least 1; it may exceed the number of rows.
            excluded: distinct positions of rows that must not be found, ascending.

        Raises:
            InvalidInputError: if queries are not contiguous finite float32.
            DimensionMismatchError: if queries have another dimension.
            BackendError: if the library behind it fails.
        """
        ...

    def save(self, path: Path) -> None:
        """Write the index to a new file; OSError or StorageError if the disk refuses."""
        ...

    def __len__(self) -> int:
        """Return the number of rows, excluded ones included."""
        ...


class Backend(Protocol):
    """A module that makes indexes; a plug-in announces it in the entry-point group."""

    def check(self, *, dim: int, metric: Metric, spec: IndexSpec) -> None:
        """Raise InvalidInputError if the recipe or an option cannot be built for that space."""
        ...

    def build(
        self, blocks: Iterable[Float32Array], *, dim: int, metric: Metric, spec: IndexSpec
    ) -> VectorIndex:
        """Index all rows of the blocks, in order.

        Raises:
            InvalidInputError: if the recipe is wrong or needs more vectors than there are.
            DimensionMismatchError: if a block has another dimension.
            BackendError: if the library behind it fails.
        """
        ...

    def open(self, path: Path, *, dim: int, metric: Metric, spec: IndexSpec) -> VectorIndex:
        """Open a saved index read-only; its bytes were checked before.

        Raises:
            CorruptFileError: if it is no index, or one of another dimension or metric.
            InvalidInputError: if a search option is wrong.
        """
        ...
