from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from compat.evaluation import _scoring
from compat.evaluation.nearest import nearest_cosines
from registry.arrays import Float32Array


def float32(array: Any) -> Float32Array:
    return np.ascontiguousarray(array, dtype=np.float32)


def naive(queries: Any, vectors: Any) -> list[tuple[float, int]]:
    """Each query with each vector, number by number."""
    found = []
    for query in queries.tolist():
        best, place = -math.inf, -1
        for row, vector in enumerate(vectors.tolist()):
            product = sum(q * v for q, v in zip(query, vector, strict=True))
            lengths = math.hypot(*query) * math.hypot(*vector)
            cosine = product / lengths if lengths else 0.0
            if cosine > best:
                best, place = cosine, row
        found.append((best, place))
    return found


@pytest.mark.parametrize("sizes", [[50], [1, 30, 0, 19], [7] * 7 + [1]])
def test_equals_a_loop_over_all_pairs(monkeypatch: pytest.MonkeyPatch, sizes: list[int]) -> None:
    monkeypatch.setattr(_scoring, "CHUNK", 16)  # so that there are several, the last not full
    rng = np.random.default_rng(2)
    queries = float32(rng.normal(size=(300, 7)) * rng.uniform(0.01, 100, (300, 1)))
    vectors = float32(rng.normal(size=(50, 7)) * rng.uniform(0.01, 100, (50, 1)))
    vectors[13] = 0
    blocks = np.split(vectors, np.cumsum(sizes)[:-1])
    cosines, places = nearest_cosines(queries, blocks)
    expected = naive(queries, vectors)
    assert [str(array.dtype) for array in (cosines, places)] == ["float64", "int64"]
    np.testing.assert_allclose(cosines, [cosine for cosine, _ in expected], rtol=0, atol=2e-6)
    assert places.tolist() == [place for _, place in expected]


def test_a_copy_has_cosine_one_and_the_first_of_equals_is_named() -> None:
    rng = np.random.default_rng(3)
    vectors = float32(rng.normal(size=(2 * _scoring.CHUNK + 5, 24)))
    copied = np.array([4, _scoring.CHUNK - 1, _scoring.CHUNK, 2 * _scoring.CHUNK + 4])
    vectors[_scoring.CHUNK + 9] = vectors[4]
    cosines, places = nearest_cosines(float32(vectors[copied] * 3), [vectors])
    assert cosines.tolist() == [1.0] * 4
    assert places.tolist() == copied.tolist()


def test_zeros_have_no_cosine_and_opposites_a_negative_one() -> None:
    queries = float32([[1, 0], [0, 2]])
    cosines, _ = nearest_cosines(queries, [float32([[-3, 0], [0, -1]])])
    assert cosines.tolist() == [0.0, 0.0]
    cosines, places = nearest_cosines(queries, [float32([[-3, -3]]), float32([[0, 0]])])
    assert (cosines.tolist(), places.tolist()) == ([0.0, 0.0], [1, 1])
    assert not np.signbit(cosines).any()
    assert nearest_cosines(queries, [float32([[-3, -3]])])[0].tolist() == [-0.707107] * 2


def test_what_is_held_does_not_grow_with_the_vectors() -> None:
    rng = np.random.default_rng(4)
    vectors, queries = float32(rng.normal(size=(400_000, 8))), float32(rng.normal(size=(20, 8)))
    tracemalloc.start()
    nearest_cosines(queries, [vectors])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes / 8


def test_nothing_to_compare_is_refused() -> None:
    some = float32(np.ones((3, 4)))
    for queries, blocks in ((some[:0], [some]), (some, []), (some, [some[:0]])):
        with pytest.raises(ValueError, match="cosines need both but got"):
            nearest_cosines(queries, blocks)
    with pytest.raises(ValueError, match="must be float32 of shape"):
        nearest_cosines(some, [float32(np.ones((3, 5)))])
