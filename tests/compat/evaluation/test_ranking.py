from __future__ import annotations

import math
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from compat.evaluation import RankingScores, Relevance, _counting, _scoring, _ties, score_rankings
from registry.arrays import Float32Array, Float64Array, Int64Array
from tests.reference.ranking import Expected, enumerated, summed

KS = (1, 2, 5, 10, 1000)


def whole_vectors(rng: np.random.Generator, n: int, dim: int, largest: int = 2) -> Float32Array:
    """Return vectors of whole numbers: scores are exact in float32, and many are equal."""
    return rng.integers(-largest, largest, (n, dim), endpoint=True).astype(np.float32)


def expected_scores(
    scores: Float32Array, relevance: Relevance, excluded: Int64Array, ks: Sequence[int] = KS
) -> list[Expected]:
    found = []
    for i, row in enumerate(scores):
        mine = slice(relevance.indptr[i], relevance.indptr[i + 1])
        gains = np.zeros(len(row))
        gains[relevance.indices[mine]] = 1 if relevance.gains is None else relevance.gains[mine]
        exists = np.arange(len(row)) != excluded[i]
        found.append(summed(row[exists].tolist(), gains[exists].tolist(), ks))
    return found


def assert_scores(found: RankingScores, expected: list[Expected], tolerance: float = 1e-12) -> None:
    assert_close(found.average_precision, [e.average_precision for e in expected], tolerance)
    for k in found.hit:
        assert_close(found.hit[k], [e.hit[k] for e in expected], tolerance)
        assert_close(found.recall[k], [e.recall[k] for e in expected], tolerance)
        assert_close(found.ndcg[k], [e.ndcg[k] for e in expected], tolerance)
    assert_close(found.metric("MRR"), [e.reciprocal_rank for e in expected], tolerance)
    assert_close(found.metric("mAP@R"), [e.average_precision_at_r for e in expected], tolerance)


def assert_close(found: Float64Array, expected: list[float], tolerance: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def assert_identical(one: RankingScores, other: RankingScores) -> None:
    assert one.names == other.names
    for name in one.names:
        np.testing.assert_array_equal(one.metric(name), other.metric(name), strict=True)
    np.testing.assert_array_equal(one.n_relevant, other.n_relevant, strict=True)


# --- the closed forms


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=7).filter(
        lambda items: any(gain for _, gain in items)
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_expectation_over_all_orders(items: list[tuple[int, int]], is_graded: bool) -> None:
    scores = [float(s) for s, _ in items]
    gains = [float(gain if is_graded else gain > 0) for _, gain in items]
    ks = (1, 2, 3, 9)
    definition = enumerated(scores, gains, ks)
    positions = np.flatnonzero(gains).astype(np.int64)
    given = np.array(gains)[positions] if is_graded else None
    relevance = Relevance(np.array([0, len(positions)]), positions, len(items), given)
    gallery = np.array(scores, dtype=np.float32)[:, None]
    found = score_rankings(np.ones((1, 1), np.float32), gallery, relevance, ks=ks)
    assert_scores(found, [definition])
    assert_scores(found, [summed(scores, gains, ks)])


@pytest.mark.parametrize(
    ("a", "t", "r"), [(0, 700, 2), (5, 600, 300), (3, 257, 2), (10_000, 999, 998), (0, 513, 513)]
)
def test_first_of_many_tied(a: int, t: int, r: int) -> None:
    """Groups of more places than are summed at a time."""
    exact = math.fsum(
        math.comb(t - i, r - 1) / math.comb(t, r) / (a + i) for i in range(1, t - r + 2)
    )
    ranks = _ties.Ranks.from_counts(np.array([0, r]), np.full(r, a), np.full(r, t))
    assert _ties.reciprocal_rank(ranks)[0] == pytest.approx(exact, rel=1e-13)


def test_published_examples() -> None:
    """nDCG of Järvelin and Kekäläinen's gain vector; MAP@R of Musgrave et al., figure 3."""
    gains = np.array([3, 2, 3, 0, 0, 1, 2, 2, 3, 0], dtype=np.float64)  # TOIS 2002, section 2.1
    gallery = -np.arange(10, dtype=np.float32)[:, None]
    judged = np.flatnonzero(gains)
    relevance = Relevance(np.array([0, len(judged)]), judged, 10, gains[judged])
    found = score_rankings(np.ones((1, 1), np.float32), gallery, relevance, ks=(2, 10))
    best = np.sort(gains)[::-1]
    assert found.ndcg[2][0] == pytest.approx((3 + 2 / math.log2(3)) / (3 + 3 / math.log2(3)))
    discounts = np.log2(np.arange(2, 12))
    assert found.ndcg[10][0] == pytest.approx((gains / discounts).sum() / (best / discounts).sum())
    retrieved = {"first": [0], "first two": [0, 1], "first and last": [0, 9]}
    at_r = {}
    for name, right in retrieved.items():  # ten ranks, R = 10; the other relevant ones come later
        later = np.arange(10, 20 - len(right))
        indices = np.concatenate([right, later]).astype(np.int64)
        relevance = Relevance(np.array([0, 10]), indices, 20)
        one = score_rankings(
            np.ones((1, 1), np.float32), -np.arange(20, dtype=np.float32)[:, None], relevance
        )
        at_r[name] = float(one.metric("mAP@R")[0])
    assert at_r == pytest.approx({"first": 0.1, "first two": 0.2, "first and last": 0.12})


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 64), (3, 70), (63, 65), (64, 66)])
@pytest.mark.parametrize("shift", [0, 1000, 10_000_000])
def test_harmonic_sums_do_not_cancel(low: int, high: int, shift: int) -> None:
    exact = math.fsum(1 / i for i in range(low + shift + 1, high + shift + 1))
    found = _ties._harmonic_between(np.array([low + shift]), np.array([high + shift]))
    assert found[0] == pytest.approx(exact, rel=1e-13)


def test_perfect_and_worst_ranking_are_exact() -> None:
    gallery = np.arange(60, dtype=np.float32)[:, None]
    labels = (np.arange(60) >= 30).astype(np.int64)
    query = np.ones((1, 1), np.float32)
    best = score_rankings(query, gallery, Relevance.from_labels(np.array([1]), labels), ks=(30,))
    assert best.average_precision.tolist() == [1.0]
    assert best.recall[30].tolist() == [1.0]
    worst = score_rankings(query, gallery, Relevance.from_labels(np.array([0]), labels), ks=(30,))
    assert worst.hit[30].tolist() == [0.0]
    naive = sum(i / (30 + i) for i in range(1, 31)) / 30
    assert worst.average_precision[0] == pytest.approx(naive, abs=1e-15)


# --- counting


@given(
    hnp.arrays(
        np.float32,
        st.integers(1, 60),
        elements=st.one_of(
            st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0**99, -(2.0**99), 2.0**-140]),
            st.floats(-(2.0**117), 2.0**117, width=32),
            st.floats(-1, 1, width=32),
        ),
    ),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_buckets_count_right(row: Float32Array, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, len(row) - 1), min_size=1))
    positions = np.array(sorted(chosen), dtype=np.int64)
    own = np.sort(row[positions])
    higher = [sum(1 for score in row if score > mine) for mine in own]
    equal = [sum(1 for score in row if score == mine) for mine in own]
    found_higher, found_equal = _counting._count_in_buckets(row, positions, own)
    assert found_higher.tolist() == higher
    assert found_equal.tolist() == equal


# --- whole evaluations against the naive one


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
@pytest.mark.parametrize("n_classes", [2, 5, 40])
@pytest.mark.parametrize("is_graded", [False, True])
def test_equals_the_naive_evaluation(metric: str, n_classes: int, is_graded: bool) -> None:
    rng = np.random.default_rng(n_classes)
    queries, gallery = whole_vectors(rng, 30, 4), whole_vectors(rng, 120, 4)
    labels = np.arange(120) % n_classes
    query_labels = rng.integers(0, n_classes, 30)
    excluded = np.where(rng.random(30) < 0.5, rng.integers(0, 120, 30), -1)
    relevance = Relevance.from_labels(query_labels, labels)
    if is_graded:
        gains = rng.integers(1, 5, len(relevance.indices)).astype(np.float64)
        relevance = replace(relevance, gains=gains)
    scores = queries @ gallery.T
    if metric == "l2":
        scores = -np.square(queries[:, None] - gallery[None]).sum(axis=2)
        found = score_rankings(queries, gallery, relevance, ks=KS, excluded=excluded, metric="l2")
    else:
        found = score_rankings(queries, gallery, relevance, ks=KS, excluded=excluded)
    assert_scores(found, expected_scores(scores, relevance, excluded))


def test_equals_scikit_learn_where_nothing_is_tied() -> None:
    rng = np.random.default_rng(3)
    gallery = rng.standard_normal((400, 16)).astype(np.float32)
    labels = rng.integers(0, 8, 400)
    itself = np.arange(400)
    found = score_rankings(gallery, gallery, Relevance.from_labels(labels, labels), excluded=itself)
    scores = gallery.astype(np.float64) @ gallery.T.astype(np.float64)
    for i in range(400):
        others = itself != i
        exact = average_precision_score(labels[others] == labels[i], scores[i, others])
        assert found.average_precision[i] == pytest.approx(exact, abs=1e-9)
    assert found.n_relevant.tolist() == [int((labels == label).sum()) - 1 for label in labels]


def test_excluding_an_item_is_having_a_gallery_without_it() -> None:
    rng = np.random.default_rng(4)
    gallery, labels = whole_vectors(rng, 90, 3, largest=1), np.arange(90) % 3
    all_but = score_rankings(
        gallery, gallery, Relevance.from_labels(labels, labels), ks=KS, excluded=np.arange(90)
    )
    for i in range(90):
        others = np.arange(90) != i
        relevance = Relevance.from_labels(labels[i : i + 1], labels[others])
        one = score_rankings(gallery[i : i + 1], gallery[others], relevance, ks=KS)
        for name in one.names:
            assert one.metric(name)[0] == all_but.metric(name)[i]


# --- the order of the gallery, blocks and memory do not matter


@given(st.integers(1, 300), st.sampled_from([1, 3, 17, 64]), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_permuting_the_gallery_changes_nothing(n: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    distinct = rng.standard_normal((1 + n // 3, dim)).astype(np.float32)
    gallery = distinct[rng.integers(0, len(distinct), n)]  # many equal vectors
    labels = rng.integers(0, 4, n)
    queries = rng.standard_normal((7, dim)).astype(np.float32)
    asked = rng.choice(labels, 7)
    excluded = np.full(7, -1)
    excluded[asked == labels[0]] = -1 if np.sum(labels == labels[0]) < 2 else 0
    order = rng.permutation(n)
    moved = np.where(excluded < 0, -1, np.argsort(order)[excluded])
    one = score_rankings(
        queries, gallery, Relevance.from_labels(asked, labels), ks=KS, excluded=excluded
    )
    other = score_rankings(
        queries, gallery[order], Relevance.from_labels(asked, labels[order]), ks=KS, excluded=moved
    )
    assert_identical(one, other)


@pytest.mark.parametrize("n", [7, _scoring.CHUNK - 1, _scoring.CHUNK + 5])
@pytest.mark.parametrize("n_queries", [1, 3])
@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_equal_vectors_tie_wherever_they_are_stored(n: int, n_queries: int, metric: str) -> None:
    """A model that gives every item one vector gets chance: BLAS must not break the ties."""
    rng = np.random.default_rng(n)
    gallery = np.repeat(rng.standard_normal((1, 99)).astype(np.float32), n, axis=0)
    labels = np.repeat([0, 1], [n // 3, n - n // 3])
    queries = rng.standard_normal((n_queries, 99)).astype(np.float32)
    relevance = Relevance.from_labels(np.zeros(n_queries, np.int64), labels)
    found = score_rankings(
        queries, gallery, relevance, ks=(1, n), metric="l2" if metric == "l2" else "inner_product"
    )
    r = n // 3
    np.testing.assert_allclose(found.hit[1], r / n, rtol=1e-12)
    np.testing.assert_allclose(found.recall[1], 1 / n, rtol=1e-12)
    assert found.hit[n].tolist() == [1.0] * n_queries
    harmonic = math.fsum(1 / i for i in range(1, n + 1))
    slope = (r - 1) / (n - 1)
    chance = (slope * n + (1 - slope) * harmonic) / n
    np.testing.assert_allclose(found.average_precision, chance, rtol=1e-12)


def test_blocks_and_memory_do_not_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    gallery, queries = whole_vectors(rng, 5000, 8), whole_vectors(rng, 40, 8)
    labels, asked = rng.integers(0, 50, 5000), rng.integers(0, 50, 40)
    relevance = Relevance.from_labels(asked, labels)
    whole = score_rankings(queries, gallery, relevance)
    np.save(tmp_path / "second.npy", gallery[3000:])
    mapped = np.load(tmp_path / "second.npy", mmap_mode="r")
    blocks = [gallery[:1], gallery[1:1], gallery[1:3000], mapped]
    assert_identical(whole, score_rankings(queries, blocks, relevance))
    assert_identical(whole, score_rankings(queries, blocks, relevance, memory_bytes=100_000))
    assert_identical(whole, score_rankings(queries[:, ::1], gallery[:, ::1], relevance))


def test_memory_is_bounded() -> None:
    rng = np.random.default_rng(7)
    gallery = rng.standard_normal((20_000, 8)).astype(np.float32)
    labels = np.arange(20_000) % 2000
    relevance = Relevance.from_labels(labels[:500], labels)
    budget = 4 * 2**20  # all scores would be 40 MB
    tracemalloc.start()
    try:
        score_rankings(gallery[:500], gallery, relevance, memory_bytes=budget)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < budget + 2 * 2**20


def test_inputs_are_not_written() -> None:
    rng = np.random.default_rng(8)
    gallery, labels = whole_vectors(rng, 50, 4), np.arange(50) % 5
    excluded = np.arange(50)
    relevance = Relevance.from_labels(labels, labels)
    for array in (gallery, labels, excluded, relevance.indptr, relevance.indices):
        array.flags.writeable = False
    score_rankings(gallery, gallery, relevance, excluded=excluded, metric="l2")


def test_deeper_is_never_worse() -> None:
    rng = np.random.default_rng(9)
    gallery, labels = whole_vectors(rng, 200, 3), np.arange(200) % 7
    found = score_rankings(
        gallery, gallery, Relevance.from_labels(labels, labels), ks=range(1, 201)
    )
    assert not np.allclose(found.ndcg[5], found.ndcg[9])  # which may fall with k
    for family in (found.hit, found.recall):
        deeper = np.stack([family[k] for k in range(1, 201)])
        assert np.all(np.diff(deeper, axis=0) >= -1e-12)
        assert np.all((deeper >= 0) & (deeper <= 1))
        np.testing.assert_allclose(deeper[-1], 1.0, rtol=1e-12)


# --- names, relevance and errors


def small() -> tuple[Float32Array, Relevance]:
    vectors = np.eye(4, dtype=np.float32)
    labels = np.array([0, 0, 1, 1])
    return vectors, Relevance.from_labels(labels, labels)


def test_metrics_by_name() -> None:
    vectors, relevance = small()
    found = score_rankings(vectors, vectors, relevance, ks=(1, 3))
    families = (f"{family}@{k}" for family in ("hit", "recall", "nDCG") for k in (1, 3))
    assert found.names == ("mAP", "MRR", "mAP@R", *families)
    assert found.metric("mAP") is found.average_precision
    assert found.metric("hit@3") is found.hit[3]
    assert found.metric("recall@1") is found.recall[1]
    assert found.metric("nDCG@3") is found.ndcg[3]
    assert found.metric("mAP@R") is found.average_precision_at_r
    assert found.metric("MRR") is found.reciprocal_rank
    with pytest.raises(ValueError, match=r"'hit@2'; known: mAP, MRR, mAP@R, hit@1, hit@3, rec"):
        found.metric("hit@2")


@pytest.mark.parametrize("labels", [np.array([3, 1, 3, 2]), np.array(["b", "aa", "b", "c"])])
def test_relevance_from_labels(labels: np.ndarray[tuple[int], np.dtype[np.generic]]) -> None:
    relevance = Relevance.from_labels(labels[[1, 0, 3]], labels)
    assert relevance.indptr.tolist() == [0, 1, 3, 4]
    assert relevance.indices.tolist() == [1, 0, 2, 3]
    assert (relevance.n_queries, relevance.n_gallery) == (3, 4)
    absent = Relevance.from_labels(labels[:1], labels[1:2])
    assert absent.n_relevant.tolist() == [0]
    assert relevance.without(np.array([-1, 2, 3])).n_relevant.tolist() == [1, 1, 0]
    assert relevance.rows(1, 3).indices.tolist() == [0, 2, 3]
    assert relevance.rows(1, 3).indptr.tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ("query_labels", "gallery_labels", "message"),
    [
        (np.array([1]), np.array(["1"]), "one kind but got int64 and <U1"),
        (np.array([1.0]), np.array([1]), "query labels must be .* but got float64"),
        (np.array([1]), np.array([[1]]), r"gallery labels must be .* shape \(1, 1\)"),
    ],
)
def test_labels_of_another_kind_are_refused(
    query_labels: np.ndarray[tuple[int], np.dtype[np.generic]],
    gallery_labels: np.ndarray[tuple[int], np.dtype[np.generic]],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        Relevance.from_labels(query_labels, gallery_labels)


@pytest.mark.parametrize(
    ("gains", "message"),
    [
        (np.array([1.0, 0.0]), "above 0 but 1 are not, such as 0.0"),
        (np.array([np.nan, np.inf]), "above 0 but 2 are not, such as nan"),
        (np.array([1.0]), r"float64 of shape \(2,\), one for each index, but got float64 .*\(1,\)"),
        (np.array([1, 2]), "but got int64"),
    ],
)
def test_gains_are_checked(gains: Float64Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Relevance(np.array([0, 2]), np.array([0, 1]), 3, gains)


def test_gains_stay_with_their_items() -> None:
    gains = np.array([1.0, 2.0, 3.0])
    relevance = Relevance(np.array([0, 2, 3]), np.array([0, 2, 1]), 3, gains)
    lost = relevance.without(np.array([0, -1])).gains
    later = relevance.rows(1, 2).gains
    assert lost is not None
    assert later is not None
    assert (lost.tolist(), later.tolist()) == ([2, 3], [3])


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 2], [0, 3], r"in \[0, 3\) but lie in \[0, 3\]"),
        ([0, 2], [-1, 1], r"in \[0, 3\) but lie in \[-1, 1\]"),
        ([0, 2], [1, 1], "ascend without repeats"),
        ([0, 1, 3], [2, 1, 0], "ascend without repeats"),
        ([0, 1], [0, 1], "end with the number of indices, which is 2"),
        ([0, 2, 1, 3], [0, 1, 2], "never fall"),
        ([1, 2], [0, 1], "start with 0"),
        ([], [], "start with 0"),
    ],
)
def test_relevance_is_checked(indptr: list[int], indices: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Relevance(np.array(indptr, np.int64), np.array(indices, np.int64), 3)


def test_rows_may_start_below_where_the_last_one_ended() -> None:
    relevance = Relevance(np.array([0, 2, 2, 4, 4]), np.array([1, 2, 0, 1]), 3)
    assert relevance.n_relevant.tolist() == [2, 0, 2, 0]


def test_relevance_must_be_int64() -> None:
    with pytest.raises(ValueError, match="indices must be a 1-d int64 array but got float64"):
        Relevance(np.array([0, 1]), np.array([0.0]), 1)


def test_queries_without_a_relevant_item_are_counted() -> None:
    vectors, _ = small()
    relevance = Relevance.from_labels(np.array([0, 1, 2, 9]), np.array([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="2 of 4 queries have no relevant item"):
        score_rankings(vectors, vectors, relevance)


def test_a_query_whose_only_relevant_item_is_itself_has_none() -> None:
    vectors = np.eye(3, dtype=np.float32)
    relevance = Relevance.from_labels(np.array([0, 0, 1]), np.array([0, 0, 1]))
    with pytest.raises(ValueError, match="1 of 3 queries"):
        score_rankings(vectors, vectors, relevance, excluded=np.arange(3))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("side", ["queries", "gallery"])
@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_scores_that_are_not_finite_are_refused(value: float, side: str, metric: str) -> None:
    vectors, relevance = small()
    bad = vectors.copy()
    bad[2, 1] = value
    bad[2, 2] = value
    queries, gallery = (bad, vectors) if side == "queries" else (vectors, bad)
    with pytest.raises(ValueError, match="scores must be finite"):
        score_rankings(
            queries, gallery, relevance, metric="l2" if metric == "l2" else "inner_product"
        )


def test_wrong_arguments_are_refused() -> None:
    vectors, relevance = small()
    with pytest.raises(ValueError, match=r"queries must be float32 of shape \(4, dim\)"):
        score_rankings(vectors[:3], vectors, relevance)
    with pytest.raises(ValueError, match=r"queries must be float32 .* got float64"):
        score_rankings(vectors.astype(np.float64), vectors, relevance)
    with pytest.raises(ValueError, match=r"like the queries, but one is float32 of shape \(4, 3\)"):
        score_rankings(vectors, vectors[:, :3], relevance)
    with pytest.raises(ValueError, match="4 gallery items but the gallery has 3 in all"):
        score_rankings(vectors, [vectors[:2], vectors[:1]], relevance)
    with pytest.raises(ValueError, match="4 gallery items but the gallery has 5 or more"):
        score_rankings(vectors, [vectors, vectors[:1]], relevance)
    with pytest.raises(ValueError, match=r"excluded must be integers of shape \(4,\)"):
        score_rankings(vectors, vectors, relevance, excluded=np.array([0]))
    with pytest.raises(ValueError, match=r"below 4, or -1, but lie in \[-1, 4\]"):
        score_rankings(vectors, vectors, relevance, excluded=np.array([-1, 0, 1, 4]))
    with pytest.raises(ValueError, match=r"ks must be .* but got \(0, 1\)"):
        score_rankings(vectors, vectors, relevance, ks=(0, 1))
    with pytest.raises(ValueError, match=r"ks must be .* but got \(1, 1\)"):
        score_rankings(vectors, vectors, relevance, ks=(1, 1))
    with pytest.raises(ValueError, match="'inner_product' or 'l2' but got 'cosine'"):
        score_rankings(vectors, vectors, relevance, metric="cosine")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"memory_bytes must hold at least one query, .* got 100"):
        score_rankings(vectors, vectors, relevance, memory_bytes=100)
    with pytest.raises(ValueError, match="at least one query"):
        score_rankings(vectors[:0], vectors, relevance.rows(0, 0))
