"""How many relevant items of a query are compared with all scores."""

from __future__ import annotations

import numpy as np
import pytest

from compat.evaluation import _depth
from registry.arrays import Float32Array


def test_worst_first() -> None:
    own = np.array([3, 1, 2, 5, 4], dtype=np.float32)
    found = _depth.worst_first(own, np.array([0, 3, 5]))
    assert found.T.tolist() == [[1, 2, 3], [4, 5, np.inf]]


@pytest.mark.parametrize("n", [1, 31, 33, 5000, 10**6])
def test_a_sample_lies_in_the_gallery(n: int) -> None:
    found = _depth.sampled_positions(n)
    assert found[0] == 0
    assert found[-1] == (n - 1 if n > 32 else 0)
    assert (np.diff(found) > 0).all()
    assert len(found) <= 4096


@pytest.mark.parametrize("n_sampled", [1, 700, 1024, 3000])
def test_chooses_what_costs_least(n_sampled: int) -> None:
    rng = np.random.default_rng(n_sampled)
    scores = rng.standard_normal((40, n_sampled)).astype(np.float32)
    n_own = rng.integers(1, 7, 40)
    level = rng.uniform(-3, 4, 40)  # some queries' relevant items are all near, or all deep
    own = np.sort(level[:, None] + rng.standard_normal((40, 6)), axis=1).astype(np.float32)
    own[np.arange(6) >= n_own[:, None]] = np.inf
    n_deep, cost = _depth.plan_depth(np.ascontiguousarray(own.T), scores)
    expected = [_costs(row, mine) for row, mine in zip(scores, own, strict=True)]
    assert n_deep.tolist() == [costs.index(min(costs)) for costs in expected]
    assert cost.tolist() == pytest.approx([min(costs) for costs in expected])
    assert (n_deep <= n_own).all()
    if n_sampled > 1:
        assert n_deep.min() == 0
        assert n_deep.max() > 3


def _costs(row: Float32Array, own: Float32Array) -> list[float]:
    """What it costs to call none deep, the worst one, the two worst, ..., all."""
    costs = []
    for n_deep in range(len(own) + 1):
        reaching = sum(score >= min(own[n_deep:].tolist(), default=np.inf) for score in row)
        costs.append(_depth._COMPARED * n_deep + _depth._FOUND * reaching / len(row))
    return costs
