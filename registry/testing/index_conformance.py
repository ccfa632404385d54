"""The conformance suite of index back ends: subclass it, name the back end, run pytest.

class TestMine(VectorIndexTestCase):
    backend = my_module
    spec = IndexSpec("mine", "some recipe")
    min_recall = 0.9
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Float32Array
from ..domain.galleries import IndexSpec, Metric
from ..errors import (
    BackendError,
    CorruptFileError,
    DimensionMismatchError,
    InvalidInputError,
    SamespaceError,
)
from ..galleries.protocol import Backend, Neighbours, VectorIndex
from .reference_search import (
    DIM,
    Trial,
    frozen,
    is_among_best,
    make_trial,
    planted_trial,
    reference_scores,
    score_error,
)


class VectorIndexTestCase:
    """What every index back end must do, for all three metrics.

    Attributes:
        backend: the module under test.
        spec: the recipe and options under test; 2000 vectors must be enough to train it.
        min_recall: least share of true nearest rows that must be found; 1 means exact.
        score_tolerance: largest error of a score, relative to the largest score there is.
    """

    backend: Any
    spec: IndexSpec
    min_recall: float = 1.0
    score_tolerance: float = 1e-5

    def test_finds_the_nearest_rows(self) -> None:
        """Rows are as near as the reference's, as often as promised, and best first."""
        for trial in _trials():
            found = self._build(trial, n_blocks=3).search(trial.queries, 10)
            self._check_found(found, trial, np.ones(len(trial.vectors), np.bool_))

    def test_scores_are_similarities(self) -> None:
        """Scores are those of the reference: larger is closer, l2 is minus the square."""
        for trial in _trials():
            found = self._build(trial).search(trial.queries, 10)
            _check(found.scores.dtype == np.float32, "scores are not float32")
            _check(found.positions.dtype == np.int64, "positions are not int64")
            error = score_error(found, reference_scores(trial))
            _check(error <= self.score_tolerance, f"{trial.metric}: scores are off by {error:.2g}")

    def test_uses_the_metric_that_it_was_told(self) -> None:
        """Three planted rows are each the nearest by one metric only."""
        for metric in Metric:
            trial, row = planted_trial(metric)
            found = self._build(trial).search(trial.queries, 1)
            _check(int(found.positions[0, 0]) == row, f"{metric} found another row's neighbour")

    def test_missing_places_hold_nothing(self) -> None:
        """With k above the number of rows the last places hold -1 and -inf."""
        for trial in _trials():
            n = len(trial.vectors)
            found = self._build(trial).search(trial.queries[:3], n + 5)
            missing = found.positions == -1
            _check(bool(missing[:, n:].all()), "places past the last row are not -1")
            _check(bool((found.scores[missing] == -np.inf).all()), "a missing score is not -inf")
            _check(bool(np.isfinite(found.scores[~missing]).all()), "a found score is infinite")
            _check(_is_descending(found), "missing places are not at the end")

    def test_empty(self) -> None:
        """No rows give no neighbours, or are refused; no queries give no answers."""
        for trial in _trials():
            none = self._build(trial).search(trial.queries[:0], 4)
            _check(none.positions.shape == none.scores.shape == (0, 4), "wrong shape of nothing")
            try:
                empty = self._build(frozen(trial.vectors[:0], trial.queries, trial.metric))
            except InvalidInputError:
                continue
            _check(len(empty) == 0, "an empty index has rows")
            found = empty.search(trial.queries, 2)
            _check(bool((found.positions == -1).all()), "an empty index found something")

    def test_duplicates_are_rows_of_their_own(self) -> None:
        """Equal vectors are all kept, and an exact index returns all of them."""
        for trial in _trials():
            vectors = trial.vectors.copy()
            vectors[7:2000:500] = vectors[0]
            again = frozen(vectors, vectors[:1], trial.metric)
            found = self._build(again).search(again.queries, 5)
            _check(len(np.unique(found.positions)) == 5, "one row was found twice")
            self._check_found(found, again, np.ones(len(vectors), np.bool_))

    def test_excluded_rows_never_appear(self) -> None:
        """Excluded rows are not found, the others are, whatever the share."""
        for trial in _trials():
            index, n = self._build(trial), len(trial.vectors)
            for excluded in (np.arange(0, n, 3), np.arange(n - 1), np.arange(n), np.arange(0)):
                k = min(10, max(1, n - len(excluded)))
                found = index.search(trial.queries, k, excluded=excluded)
                _check(not np.isin(found.positions, excluded).any(), "an excluded row was found")
                if len(excluded) < n / 2:
                    allowed = ~np.isin(np.arange(n), excluded)
                    self._check_found(found, trial, allowed)

    def test_refuses_what_is_not_clean_float32(self) -> None:
        """Other types, memory orders and dimensions, NaN and Inf are refused, not converted."""
        trial = make_trial(Metric.INNER_PRODUCT)
        index = self._build(trial)
        bad = trial.queries.copy()
        bad[1, 2] = np.nan
        wrong: list[Any] = [trial.queries.astype(np.float64), trial.queries.astype(np.float16)]
        wrong += [
            np.asfortranarray(trial.queries),
            trial.queries[0],
            bad,
            np.full_like(bad, np.inf),
        ]
        for array in wrong:
            _refused(InvalidInputError, partial(index.search, array, 3))
            _refused(InvalidInputError, partial(self._build_blocks, [trial.vectors, array]))
        short = np.ascontiguousarray(trial.queries[:, 1:])
        _refused(DimensionMismatchError, partial(index.search, short, 3))
        _refused(DimensionMismatchError, partial(self._build_blocks, [trial.vectors, short]))

    def test_round_trip(self, tmp_path: Path) -> None:
        """A saved and opened index finds the same, and can be saved again."""
        excluded = np.arange(0, 2000, 5)
        for trial in _trials():
            index = self._build(trial)
            index.save(tmp_path / "one")
            opened = self._open(tmp_path / "one", trial.metric)
            opened.save(tmp_path / "two")
            for other in (opened, self._open(tmp_path / "two", trial.metric)):
                _check(len(other) == len(index) == len(trial.vectors), "rows were lost")
                for skipped in (None, excluded):
                    expected = index.search(trial.queries, 7, excluded=skipped)
                    found = other.search(trial.queries, 7, excluded=skipped)
                    np.testing.assert_array_equal(found.positions, expected.positions)
                    np.testing.assert_array_equal(found.scores, expected.scores)

    def test_refuses_damaged_and_foreign_files(self, tmp_path: Path) -> None:
        """A file cut short, of another dimension or metric, or of noise is not opened."""
        trial = make_trial(Metric.COSINE)
        path = tmp_path / "index"
        self._build(trial).save(path)
        whole = path.read_bytes()
        _refused(CorruptFileError, partial(self._open, path, Metric.COSINE, DIM // 2))
        _refused(CorruptFileError, partial(self._open, path, Metric.L2))
        for size in (0, 1, 40, len(whole) // 100, len(whole) // 2, len(whole) - 64):
            cut = tmp_path / f"cut-{size}"
            cut.write_bytes(whole[:size])
            _refused(CorruptFileError, partial(self._open, cut, Metric.COSINE))
        cut.write_bytes(np.random.default_rng(0).bytes(5000))
        _refused(CorruptFileError, partial(self._open, cut, Metric.COSINE))

    def test_threads_may_search_at_once(self) -> None:
        """Several threads get what one gets."""
        trial = make_trial(Metric.COSINE)
        index, excluded = self._build(trial), np.arange(0, 2000, 4)
        expected = index.search(trial.queries, 5, excluded=excluded)
        with ThreadPoolExecutor(4) as pool:
            runs = [
                pool.submit(index.search, trial.queries, 5, excluded=excluded) for _ in range(16)
            ]
        for run in runs:
            np.testing.assert_array_equal(run.result().positions, expected.positions)

    def _build(self, trial: Trial, n_blocks: int = 1) -> VectorIndex:
        blocks = np.array_split(trial.vectors, n_blocks)
        return self._build_blocks(blocks, trial.metric)

    def _build_blocks(
        self, blocks: Sequence[Float32Array], metric: Metric = Metric.INNER_PRODUCT
    ) -> VectorIndex:
        backend: Backend = self.backend
        backend.check(dim=DIM, metric=metric, spec=self.spec)
        return backend.build(iter(blocks), dim=DIM, metric=metric, spec=self.spec)

    def _open(self, path: Path, metric: Metric, dim: int = DIM) -> VectorIndex:
        backend: Backend = self.backend
        return backend.open(path, dim=dim, metric=metric, spec=self.spec)

    def _check_found(self, found: Neighbours, trial: Trial, allowed: Any) -> None:
        _check(_is_descending(found), f"{trial.metric}: scores are not best first")
        hit = is_among_best(found, reference_scores(trial), allowed)
        recall = float(hit.mean())
        _check(recall >= self.min_recall, f"{trial.metric}: recall {recall} < {self.min_recall}")


def _trials() -> list[Trial]:
    return [make_trial(metric) for metric in Metric]


def _is_descending(found: Neighbours) -> bool:
    return bool((found.scores[:, 1:] <= found.scores[:, :-1]).all())


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _refused(kind: type[SamespaceError], call: Callable[[], object]) -> None:
    """Check that a call raises an error of that kind, and no BackendError."""
    try:
        call()
    except kind as error:
        _check(not isinstance(error, BackendError), f"refused by the library, not before: {error}")
        return
    raise AssertionError(f"nothing was refused where {kind.__name__} was expected")
