from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.domain.calibration import AS_IT_IS, ScoreMap
from registry.domain.contracts import Contract, ContractKind
from registry.domain.galleries import Metric
from registry.errors import InvalidInputError
from registry.galleries.merging import keep_from, mapped, merge
from registry.galleries.search import SearchTarget, search_segments
from registry.vectors import Hits

from .stored import Maker, same_space

maps = st.builds(ScoreMap, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))


def ranking(rng: np.random.Generator, number: int, n: int, *, ties: bool) -> Hits:
    scores = rng.integers(-3, 4, (2, n)) if ties else rng.normal(size=(2, n))
    order = -np.sort(-scores.astype(np.float32), axis=1)
    ids = np.arange(n) + 100 * number
    return Hits(np.stack([ids] * 2), order, np.full((2, n), number))


@given(
    seed=st.integers(0, 2**32),
    given_maps=st.lists(maps, min_size=1, max_size=3),
    ties=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_equals_one_sort_of_all_mapped_scores(
    seed: int, given_maps: list[ScoreMap], ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    found = [ranking(rng, n, 6, ties=ties) for n in range(1, len(given_maps) + 1)]
    k = int(rng.integers(1, 6 * len(found) + 1))
    hits = merge(found, given_maps, k)
    for row in range(2):
        everything = sorted(
            (-(m.scale * float(s) + m.offset), int(i), float(s), int(v))
            for part, m in zip(found, given_maps, strict=True)
            for i, s, v in zip(part.ids[row], part.scores[row], part.versions[row], strict=True)
        )[:k]
        assert hits.ids[row].tolist() == [i for _, i, _, _ in everything]
        assert hits.versions[row].tolist() == [v for _, _, _, v in everything]
        assert hits.raw_scores[row].tolist() == [s for _, _, s, _ in everything]
        assert hits.scores[row].tolist() == [float(np.float32(-key)) for key, _, _, _ in everything]


def test_no_map_reorders_one_segments_own_ranking(rng: np.random.Generator) -> None:
    """Neighbours in float32 stay apart, even where a map makes them one float32."""
    top = np.float32(0.5)
    close = np.array([[top, np.nextafter(top, np.float32(0))]], np.float32)
    first = Hits(np.array([[9, 3]]), close, np.array([[1, 1]]))
    second = Hits(np.array([[5]]), np.array([[0.1]], np.float32), np.array([[2]]))
    hits = merge([first, second], [ScoreMap(1e-3, 900.0), AS_IT_IS], 3)
    assert hits.ids.tolist() == [[9, 3, 5]]
    assert hits.scores[0, 0] == hits.scores[0, 1]  # they differ as raw scores
    assert hits.raw_scores[0, 0] > hits.raw_scores[0, 1]
    one = ranking(rng, 1, 50, ties=False)
    assert mapped(one, ScoreMap(0.2, 7.0)).ids is one.ids


def test_one_map_for_all_leaves_the_raw_order(rng: np.random.Generator) -> None:
    found = [ranking(rng, n, 8, ties=True) for n in (1, 2)]
    raw, hits = merge(found, [AS_IT_IS] * 2, 9), merge(found, [ScoreMap(0.7, 0.1)] * 2, 9)
    assert raw.uncalibrated is None
    assert raw.raw_scores is raw.scores
    assert hits.ids.tolist() == raw.ids.tolist()
    assert hits.raw_scores.tolist() == raw.scores.tolist()
    assert hits.scores == pytest.approx(0.7 * raw.scores + 0.1, abs=1e-6)


@pytest.mark.parametrize("ids", [np.array([[1, 2, 3]]), np.array([["a", "b", "c"]], object)])
def test_what_scores_less_is_missing(ids: np.ndarray) -> None:
    scores = np.array([[0.9, 0.5, -np.inf]], np.float32)
    hits = Hits(ids, scores, np.array([[2, 1, 0]]), scores * np.float32(2))
    kept = keep_from(hits, 0.6)
    assert kept.ids.tolist() == [[ids[0, 0], *([None, None] if ids.dtype == object else [-1, -1])]]
    assert kept.versions.tolist() == [[2, 0, 0]]
    assert kept.scores.tolist() == [[scores[0, 0], -np.inf, -np.inf]]
    assert kept.raw_scores.tolist() == [[scores[0, 0] * 2, -np.inf, -np.inf]]
    assert keep_from(hits, float(scores[0, 1])).versions.tolist() == [[2, 1, 0]]
    assert keep_from(Hits(ids, scores, hits.versions), 1.0).uncalibrated is None
    whole = Hits(ids[:, :2], scores[:, :2], hits.versions[:, :2])
    assert keep_from(whole, 0.1) is whole


@pytest.mark.parametrize("metric", list(Metric))
def test_a_search_of_two_scales(tmp_path: Path, rng: np.random.Generator, metric: Metric) -> None:
    """The longer vectors drown the others, until their scores are mapped; a threshold acts last."""
    near, far = (rng.normal(size=(6, 4)).astype(np.float32) for _ in range(2))
    queries = rng.normal(size=(3, 4)).astype(np.float32)
    readers = [
        Maker(tmp_path, metric).reader([(np.arange(6) + 10 * n, part)], number=n)
        for n, part in ((1, near), (2, far))
    ]
    to_scale = {1: ScoreMap(1.5, -0.25), 2: ScoreMap(0.5, 3.0)}
    targets = [SearchTarget(r, same_space(4), n, to_scale[n]) for n, r in enumerate(readers, 1)]
    plain = [search_segments([replace_map(t)], queries, 6, metric) for t in targets]
    hits = search_segments(targets, queries, 12, metric)
    for row in range(3):
        expected = sorted(
            (-(to_scale[n].scale * float(s) + to_scale[n].offset), int(i))
            for n, part in enumerate(plain, 1)
            for i, s in zip(part.ids[row], part.scores[row], strict=True)
        )
        assert hits.ids[row].tolist() == [i for _, i in expected]
        raw = {
            int(i): s
            for part in plain
            for i, s in zip(part.ids[row], part.scores[row], strict=True)
        }
        assert hits.raw_scores[row].tolist() == [raw[i] for i in hits.ids[row].tolist()]
    bound = float(hits.scores[1, 4])
    kept = search_segments(targets, queries, 12, metric, min_score=bound)
    assert (kept.versions > 0).tolist() == (hits.scores >= np.float32(bound)).tolist()
    single = search_segments(targets[:1], queries, 2, metric)
    assert single.raw_scores.tolist() == plain[0].scores[:, :2].tolist()
    with pytest.raises(InvalidInputError, match="min_score must be a number but is NaN"):
        search_segments(targets, queries, 2, metric, min_score=float("nan"))


def replace_map(target: SearchTarget) -> SearchTarget:
    return SearchTarget(target.reader, target.contract, target.version_number)


def test_a_segment_is_searched_by_its_own_versions_queries(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    old, new = (
        rng.normal(size=(5, 3)).astype(np.float32),
        rng.normal(size=(5, 7)).astype(np.float32),
    )
    mine, theirs = (
        rng.normal(size=(2, 7)).astype(np.float32),
        rng.normal(size=(2, 3)).astype(np.float32),
    )
    maker = Maker(tmp_path)
    own = Contract(ContractKind.OWN_ENCODER, 3)
    targets = [
        SearchTarget(maker.reader([(np.arange(5), old)], number=1), own, 1),
        SearchTarget(maker.reader([(np.arange(5) + 10, new)], number=2), same_space(7), 2),
    ]
    hits = search_segments(targets, mine, 10, Metric.COSINE, own={1: theirs})
    parts = [
        search_segments(
            [SearchTarget(targets[0].reader, same_space(3), 1)], theirs, 5, Metric.COSINE
        ),
        search_segments(targets[1:], mine, 5, Metric.COSINE),
    ]
    assert hits.ids.tolist() == merge(parts, [AS_IT_IS] * 2, 10).ids.tolist()
