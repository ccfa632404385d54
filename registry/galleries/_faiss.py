"""The FAISS back end. Only this module and `_faiss_recipes` import faiss.

A saved index is mapped read-only, so that several processes share its pages. Nothing here adds to
a mapped index: FAISS aborts the process when one does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss as _swig
import numpy as np

from ..arrays import Float32Array, Int64Array
from ..domain.galleries import IndexSpec, Metric
from ..errors import BackendError, CorruptFileError, InvalidInputError
from ..vectors import check_vectors
from ._faiss_recipes import (
    check_options,
    default_options,
    empty_index,
    layers,
    metric_type,
    reason,
    search_parameters,
)
from .geometry import in_chunks, normalise
from .protocol import Neighbours

faiss: Any = _swig  # its types know nothing of what its Python part adds to its classes

_TRAINING_ROWS = 2**18
_TOO_FEW = "should be at least as large as number of clusters"


def set_threads(n: int) -> None:
    """Let FAISS use n threads in this process."""
    faiss.omp_set_num_threads(n)


class FaissIndex:
    """A FAISS index that can be searched and saved, and nothing else.

    Args:
        index: a trained and filled FAISS index; not to be changed any more.
        metric: the similarity; under cosine the index holds normalised vectors.
        spec: its factory string and search options.
    """

    def __init__(self, index: Any, *, metric: Metric, spec: IndexSpec) -> None:
        self._index = index
        self._metric = metric
        self._options = default_options(index) | dict(spec.options)
        self._parameters = search_parameters(index, self._options, None)
        self._has_selectors = isinstance(
            list(layers(index))[-1],
            faiss.IndexFlat | faiss.IndexHNSW | faiss.IndexIVF | faiss.IndexScalarQuantizer,
        )
        self._selection: tuple[Int64Array, Any] | None = None

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(
        self, queries: Float32Array, k: int, *, excluded: Int64Array | None = None
    ) -> Neighbours:
        """Find the k nearest rows of each query, as far as the kind of index promises."""
        check_vectors(queries, self._index.d)
        if excluded is None or not excluded.size:
            return self._search(queries, k, self._parameters)
        if self._has_selectors:
            return self._search(queries, k, self._selecting(excluded))
        return self._search_and_filter(queries, k, excluded)

    def _search(self, queries: Float32Array, k: int, parameters: Any) -> Neighbours:
        try:
            scores, positions = self._index.search(queries, k, params=parameters)
        except RuntimeError as error:
            raise BackendError(f"FAISS cannot search: {reason(error)}") from error
        if self._metric is Metric.L2:
            np.subtract(np.float32(0), scores, out=scores)
        if (positions[:, -1:] < 0).any():
            scores[positions < 0] = -np.inf
        return Neighbours(positions, scores)

    def _selecting(self, excluded: Int64Array) -> Any:
        """Return parameters that skip the excluded rows; the last ones are kept."""
        selection = self._selection
        if selection is None or selection[0] is not excluded:
            keep = np.ones(len(self), np.bool_)
            keep[excluded] = False
            selector = faiss.IDSelectorBitmap(np.packbits(keep, bitorder="little"))
            selection = (excluded, search_parameters(self._index, self._options, selector))
            self._selection = selection
        return selection[1]

    def _search_and_filter(self, queries: Float32Array, k: int, excluded: Int64Array) -> Neighbours:
        """Fetch more and drop the excluded, for kinds of index that cannot skip rows."""
        most = min(len(self), k + len(excluded))
        fetched = min(most, 2 * k)
        while True:
            found = _drop(self._search(queries, fetched, self._parameters), excluded, k)
            if fetched >= most or (found.positions[:, -1:] >= 0).all():
                return found
            fetched = min(most, 2 * fetched)

    def save(self, path: Path) -> None:
        """Write the index in FAISS's own format.

        FAISS's own writer loses a full disk's error when it closes the file; Python's does not.
        """
        failures: list[OSError] = []
        with path.open("wb") as file:

            def write(chunk: bytes) -> None:
                try:
                    if not failures:
                        file.write(chunk)
                except OSError as error:
                    failures.append(error)

            faiss.write_index(self._index, faiss.PyCallbackIOWriter(write))
        if failures:
            raise failures[0]


def check(*, dim: int, metric: Metric, spec: IndexSpec) -> None:
    """Refuse a factory string or an option that FAISS cannot build for that space."""
    empty_index(dim, metric, spec)


def build(
    blocks: Iterable[Float32Array], *, dim: int, metric: Metric, spec: IndexSpec
) -> FaissIndex:
    """Train on a sample of the rows where the factory needs it, then add all rows."""
    held = [check_vectors(block, dim) for block in blocks]
    index = empty_index(dim, metric, spec)
    prepare = normalise if metric is Metric.COSINE else np.asarray
    try:
        if not index.is_trained:
            index.train(prepare(_sample(held, dim)))
        for _, rows in in_chunks(held):
            index.add(prepare(rows))
    except RuntimeError as error:
        n_rows = sum(len(block) for block in held)
        if _TOO_FEW in str(error):
            raise InvalidInputError(
                f"{n_rows} vectors are too few to train {spec.factory!r}: {reason(error)}",
                hint="use 'Flat' for a segment of this size, or a factory with fewer lists",
            ) from error
        raise BackendError(f"FAISS cannot build {spec.factory!r}: {reason(error)}") from error
    return FaissIndex(index, metric=metric, spec=spec)


def open(path: Path, *, dim: int, metric: Metric, spec: IndexSpec) -> FaissIndex:  # noqa: A001
    """Map a saved index read-only."""
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise CorruptFileError(f"{path} is not a FAISS index: {reason(error)}") from error
    if index.d != dim or index.metric_type != metric_type(metric):
        raise CorruptFileError(
            f"{path} is an index of {index.d} dimensions and FAISS metric {index.metric_type}, "
            f"not of {dim} dimensions for {metric.value}"
        )
    check_options(index, spec)
    return FaissIndex(index, metric=metric, spec=spec)


def _sample(blocks: list[Float32Array], dim: int) -> Float32Array:
    """Return at most 2^18 rows, drawn without replacement and always the same."""
    n_rows = sum(len(block) for block in blocks)
    n_drawn = min(n_rows, _TRAINING_ROWS)
    drawn = np.sort(np.random.default_rng(0).choice(n_rows, n_drawn, replace=False))
    sample = np.empty((n_drawn, dim), np.float32)
    filled = first = 0
    for block in blocks:
        inside = drawn[np.searchsorted(drawn, first) : np.searchsorted(drawn, first + len(block))]
        sample[filled : filled + len(inside)] = block[inside - first]
        filled += len(inside)
        first += len(block)
    return sample


def _drop(found: Neighbours, excluded: Int64Array, k: int) -> Neighbours:
    """Return the first k neighbours of each query that are not excluded, in their order."""
    bad = np.isin(found.positions, excluded) | (found.positions < 0)
    order = np.argsort(bad, axis=1, kind="stable")[:, :k]
    positions = np.take_along_axis(np.where(bad, -1, found.positions), order, axis=1)
    scores = np.take_along_axis(np.where(bad, -np.inf, found.scores), order, axis=1)
    missing = ((0, 0), (0, k - order.shape[1]))
    return Neighbours(
        np.pad(positions, missing, constant_values=-1),
        np.pad(scores, missing, constant_values=-np.inf).astype(np.float32),
    )


if TYPE_CHECKING:
    from .protocol import VectorIndex

    _: VectorIndex = FaissIndex(None, metric=Metric.COSINE, spec=IndexSpec())
