"""The benchmark of recalibrated thresholds does what the certifier does, and can fail."""

from __future__ import annotations

import numpy as np

from benchmarks import recalibrated_thresholds as benchmark
from compat.evaluation import Relevance, measure_points
from compat.score_metrics import split_units
from compat.stats.binomial import rate_bounds

N = 60


def test_thresholds_are_those_of_the_certifier() -> None:
    """Scores as products: the gallery is the identity, item 0 is the genuine one."""
    world = benchmark.World(N, 0.5, 0.8)
    ((genuine, impostor), _) = world.draw(np.random.default_rng(0))
    scores = np.hstack([genuine[:, None], impostor]).astype(np.float32)
    labels = np.repeat([0, 1], [1, benchmark.N_IMPOSTORS])
    halves = split_units(np.arange(N), 3)
    found = measure_points(
        scores,
        np.eye(scores.shape[1], dtype=np.float32),
        Relevance.from_labels(np.zeros(N, np.int64), labels),
        halves,
        false_match_rates=[benchmark.FAR],
    ).verified[benchmark.FAR]
    mine = benchmark.other_halfs(scores[:, 1:].astype(np.float64), halves)
    assert np.allclose(mine, np.array(found.halves)[1 - halves], rtol=0, atol=1e-6)
    assert np.array_equal(found.accepted, scores[:, 0] >= mine)


def test_the_draw_has_the_rates_that_it_promises() -> None:
    world = benchmark.World(4_000, 0.2, 0.8)
    threshold = benchmark.true_threshold()
    for (genuine, impostor), tar in zip(
        world.draw(np.random.default_rng(1)), (0.8, 0.7), strict=True
    ):
        assert abs((impostor >= threshold).mean() - benchmark.FAR) < 0.01
        assert abs((genuine >= threshold).mean() - tar) < 0.03


def test_a_deployed_threshold_keeps_the_level_where_a_recalibrated_one_may_not() -> None:
    counts = benchmark.certified(benchmark.World(100, 0.5, 0.0), 150, 200, 0)
    low = {m: rate_bounds(n, 150, confidence_level=0.99).low for m, n in counts.items()}
    assert low["deployed"] <= benchmark.ALPHA
    assert counts["recalibrated"] > counts["deployed"]
