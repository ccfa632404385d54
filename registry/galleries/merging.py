"""Merging the rankings of several segments: one scale, one order, one cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Float32Array, Float64Array, Int64Array, LabelArray
from ..domain.calibration import ScoreMap
from ..vectors import Hits

Keys = Float32Array | Float64Array


def merge(found: Sequence[Hits], maps: Sequence[ScoreMap], k: int) -> Hits:
    """Return the k best of one or more segments' rankings of the same queries.

    Scores that are brought onto one scale by different maps are compared in float64, so that no
    map makes two scores of one segment equal. One map for all leaves the order of raw scores.

    Args:
        found: the rankings, each with its own pair's scores.
        maps: of each, onto the common scale.
        k: how many hits are kept.
    """
    if len(found) == 1:
        return mapped(_first(order_hits(found[0]), k), maps[0])
    hits = Hits(
        np.concatenate([hits.ids for hits in found], axis=1),
        np.concatenate([hits.scores for hits in found], axis=1),
        np.concatenate([hits.versions for hits in found], axis=1),
    )
    is_raw = all(one == maps[0] for one in maps)
    keys: Keys = hits.scores if is_raw else _on_one_scale(found, maps)
    order = np.argsort(-keys, axis=1, kind="stable")
    best, keys = reordered(hits, order), _taken(keys, order)
    if (rows := _tied_rows(keys)).size:
        order = _order_rows(best.ids, keys, rows)
        best, keys = reordered(best, order), _taken(keys, order)
    best = _first(best, k)
    if is_raw:
        return mapped(best, maps[0])
    return Hits(best.ids, keys[:, :k].astype(np.float32), best.versions, best.scores)


def _first(hits: Hits, k: int) -> Hits:
    return Hits(hits.ids[:, :k], hits.scores[:, :k], hits.versions[:, :k])


def _on_one_scale(found: Sequence[Hits], maps: Sequence[ScoreMap]) -> Keys:
    pairs = zip(found, maps, strict=True)
    return np.concatenate([on_scale(to_scale, hits.scores) for hits, to_scale in pairs], axis=1)


def on_scale(to_scale: ScoreMap, scores: Float32Array) -> Float64Array:
    """Return scores on another scale, in float64, so that no two become equal."""
    return to_scale.scale * scores.astype(np.float64) + to_scale.offset


def mapped(hits: Hits, to_scale: ScoreMap) -> Hits:
    """Return hits with their scores on another scale, and the raw ones beside them."""
    if to_scale.is_identity:
        return hits
    scores = on_scale(to_scale, hits.scores).astype(np.float32)
    return Hits(hits.ids, scores, hits.versions, hits.scores)


def keep_from(hits: Hits, min_score: float) -> Hits:
    """Return hits of which those that score less are missing, as an index's missing ones are."""
    is_gone = ~(hits.scores >= min_score)
    if not is_gone.any():
        return hits
    ids = hits.ids.copy()
    ids[is_gone] = None if ids.dtype == object else -1
    raw = hits.uncalibrated
    return Hits(
        ids,
        np.where(is_gone, np.float32(-np.inf), hits.scores),
        np.where(is_gone, 0, hits.versions),
        None if raw is None else np.where(is_gone, np.float32(-np.inf), raw),
    )


def order_hits(hits: Hits) -> Hits:
    """Return hits that are sorted by score with equal scores sorted by id."""
    rows = _tied_rows(hits.scores)
    return reordered(hits, _order_rows(hits.ids, hits.scores, rows)) if rows.size else hits


def _taken(keys: Keys, order: Int64Array) -> Keys:
    if keys.dtype == np.float32:
        return np.take_along_axis(keys.astype(np.float32, copy=False), order, axis=1)
    return np.take_along_axis(keys.astype(np.float64, copy=False), order, axis=1)


def _tied_rows(keys: Keys) -> Int64Array:
    ties = (keys[:, 1:] == keys[:, :-1]) & (keys[:, 1:] > -np.inf)
    return np.flatnonzero(ties.any(axis=1)) if ties.any() else np.empty(0, np.int64)


def _order_rows(ids: LabelArray, keys: Keys, rows: Int64Array) -> Int64Array:
    """Return places that order equal keys by id in some rows, and leave the others."""
    order = np.tile(np.arange(keys.shape[1]), (len(keys), 1))
    for row in rows:
        order[row] = _order_row(ids[row], keys[row])
    return order


def _order_row(ids: LabelArray, keys: Keys) -> list[int]:
    """Return one row's places by (key descending, id ascending), missing ones at the end."""
    pairs = list(zip((-keys).tolist(), ids.tolist(), strict=True))
    n_found = int(np.count_nonzero(keys > -np.inf))
    order = sorted(range(n_found), key=pairs.__getitem__)
    return [*order, *range(n_found, len(pairs))]


def reordered(hits: Hits, order: Int64Array) -> Hits:
    """Return the hits at some places of each row."""
    return Hits(
        np.take_along_axis(hits.ids, order, axis=1),
        np.take_along_axis(hits.scores, order, axis=1),
        np.take_along_axis(hits.versions, order, axis=1),
    )
