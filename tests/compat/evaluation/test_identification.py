from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compat.evaluation import Relevance, _scoring, identification_thresholds, identify
from registry.arrays import Float32Array


def whole_vectors(rng: np.random.Generator, n: int, dim: int = 4) -> Float32Array:
    return rng.integers(-2, 2, (n, dim), endpoint=True).astype(np.float32)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_a_double_loop(metric: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = whole_vectors(rng, 40), whole_vectors(rng, 70)
    labels, asked = rng.integers(0, 20, 70), rng.integers(0, 35, 40)
    excluded = np.where(rng.random(40) < 0.5, rng.integers(0, 70, 40), -1)
    relevance = Relevance.from_labels(asked, labels)
    found = identify(queries, gallery, relevance, excluded=excluded, metric=metric)
    thresholds = np.array([-5.0, 0.0, 3.0, 8.0], np.float32)
    fpir, fnir = found.rates(thresholds)
    for column, t in enumerate(thresholds.tolist()):
        false_positive, false_negative, n_mated = 0, 0, 0
        for q in range(40):
            scored = []
            for i in range(70):
                product = float(np.dot(queries[q], gallery[i]))
                distance = float(np.square(queries[q] - gallery[i]).sum())
                if i != excluded[q]:
                    is_mate = bool(labels[i] == asked[q])
                    scored.append((product if metric == "inner_product" else -distance, is_mate))
            mates = [s for s, is_mate in scored if is_mate]
            others = [s for s, is_mate in scored if not is_mate]
            assert bool(found.is_mated[q]) == bool(mates)
            n_mated += bool(mates)
            if mates:
                is_found = max(mates) > max(others) and max(mates) >= t
                false_negative += not is_found
                assert found.false_negatives(t)[q] == (not is_found)
                assert not found.false_positives(t)[q]
            else:
                false_positive += max(others) >= t
                assert found.false_positives(t)[q] == (max(others) >= t)
                assert not found.false_negatives(t)[q]
        assert 0 < n_mated < 40
        assert fpir[column] == false_positive / (40 - n_mated)
        assert fnir[column] == false_negative / n_mated
    assert np.all(np.diff(fpir) <= 0)
    assert np.all(np.diff(fnir) >= 0)


def test_the_threshold_of_a_rate_is_the_smallest_that_keeps_it() -> None:
    rng = np.random.default_rng(1)
    queries, gallery = whole_vectors(rng, 400), whole_vectors(rng, 100)
    relevance = Relevance.from_labels(np.arange(400) % 40, np.arange(100) % 20)
    found = identify(queries, gallery, relevance)
    rates = [0.15, 0.4]
    thresholds = identification_thresholds(found, rates)
    fpir, _ = found.rates(thresholds)
    lower, _ = found.rates(np.nextafter(thresholds, np.float32(-np.inf)))
    assert np.all(fpir <= rates)
    assert np.all(lower > rates)


def test_blocks_and_order_of_the_gallery_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    n = _scoring.CHUNK + 700
    gallery = rng.standard_normal((n, 6)).astype(np.float32)[rng.integers(0, n // 2, n)]
    queries = rng.standard_normal((_scoring.ROWS + 40, 6)).astype(np.float32)
    labels, asked = np.arange(n) % 50, np.arange(len(queries)) % 60
    order = rng.permutation(n)
    one = identify(queries, gallery, Relevance.from_labels(asked, labels))
    blocks = [gallery[order[:10]], gallery[order[10:]]]
    other = identify(queries, blocks, Relevance.from_labels(asked, labels[order]))
    assert np.array_equal(one.mate, other.mate)
    assert np.array_equal(one.other, other.other)


def test_a_model_that_gives_all_one_vector_identifies_nobody() -> None:
    vectors = np.ones((6, 3), np.float32)
    found = identify(vectors, vectors, Relevance.from_labels(np.arange(6), np.arange(6)))
    assert found.rates(np.array([0.0], np.float32))[1].tolist() == [1.0]


def test_only_mates_or_only_strangers() -> None:
    vectors = np.eye(3, dtype=np.float32)
    labels = np.zeros(3, np.int64)
    mates = identify(vectors, vectors, Relevance.from_labels(labels, labels))
    fpir, fnir = mates.rates(np.array([0.5, 2.0], np.float32))
    assert np.isnan(fpir).all()
    assert fnir.tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="needs non-mated probes but there are none"):
        identification_thresholds(mates, [0.1])
    strangers = identify(vectors, vectors, Relevance.from_labels(labels + 1, labels))
    fpir, fnir = strangers.rates(np.array([0.5, 2.0], np.float32))
    assert fpir.tolist() == [1.0, 0.0]
    assert np.isnan(fnir).all()
    with pytest.raises(ValueError, match="in 3 non-mated probes; they support none, and 300"):
        identification_thresholds(strangers, [0.1])
