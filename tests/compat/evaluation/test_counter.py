"""Counting a piece at a time, however many relevant items are called deep."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.evaluation import Relevance, _scoring
from compat.evaluation._counter import Counter
from compat.evaluation.ranking import TopItems


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 200]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_depth_changes_no_count(seed: int, largest: int, has_top: bool) -> None:
    """Also where a deep item ties with one that is near."""
    rng = np.random.default_rng(seed)
    n_queries, n_items = 6, _scoring.CHUNK + 100
    scores = rng.integers(-largest, largest, (n_queries, n_items), endpoint=True)
    sizes = rng.integers(1, 8, n_queries)
    rows = [np.sort(rng.choice(n_items, size, replace=False)) for size in sizes]
    relevance = Relevance(np.concatenate([[0], np.cumsum(sizes)]), np.concatenate(rows), n_items)
    own = [scores[query, row].astype(np.float32) for query, row in enumerate(rows)]
    n_deep = np.sort(rng.integers(0, sizes.max(), n_queries, endpoint=True))[::-1]
    counter = Counter(np.concatenate(own), relevance, n_deep)
    top = TopItems.empty(n_queries, 2) if has_top else None
    gallery = [np.ascontiguousarray(scores.T.astype(np.float32))]
    one_of_each = np.eye(n_queries, dtype=np.float32)
    for piece in _scoring.stream_scores(one_of_each, gallery, n_items, is_l2=False, n_rows=4):
        counter.count(piece, top)
    counter.finish(top)
    ranks = counter.ranks()
    best_first = [np.sort(mine)[::-1, None] for mine in own]
    above = [(row > mine).sum(axis=1) for row, mine in zip(scores, best_first, strict=True)]
    tied = [(row == mine).sum(axis=1) for row, mine in zip(scores, best_first, strict=True)]
    assert ranks.above.tolist() == np.concatenate(above).tolist()
    assert ranks.tied.tolist() == np.concatenate(tied).tolist()
    if top is not None:
        best = np.argsort(-scores, axis=1, kind="stable")[:, :2]
        assert top.positions.tolist() == best.tolist()
