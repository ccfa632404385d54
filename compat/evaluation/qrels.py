"""Relevance judgements of retrieval collections: which item answers which query, and how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import BoolArray, Float64Array, Int64Array, LabelArray

from ._relevance import Relevance

__all__ = ["Qrels", "relevance_from_qrels"]


@dataclass(frozen=True, slots=True, eq=False)
class Qrels:
    """Judgements, in any order; what was not judged is not relevant.

    Attributes:
        query_ids: integers or strings. Shape: (n,).
        item_ids: integers or strings; names of their own, not those of queries. Shape: (n,).
        gains: how relevant; what has 0 or less was judged not relevant. Shape: (n,).

    Raises:
        ValueError: if the arrays differ in length, a gain is not finite, or a pair was judged
            twice with two gains.
    """

    query_ids: LabelArray
    item_ids: LabelArray
    gains: Float64Array

    def __post_init__(self) -> None:
        shapes = {array.shape for array in (self.query_ids, self.item_ids, self.gains)}
        if len(shapes) != 1 or self.gains.ndim != 1 or len(self.gains) == 0:
            raise ValueError(
                "judgements must be three 1-d arrays of one length and not empty "
                f"but have shapes {sorted(shapes)}"
            )
        if not np.isfinite(self.gains).all():
            raise ValueError(
                f"gains must be finite but one is {self.gains[~np.isfinite(self.gains)][0]}"
            )
        object.__setattr__(self, "query_ids", self.query_ids.astype(str))
        object.__setattr__(self, "item_ids", self.item_ids.astype(str))
        self._check_pairs()

    def _check_pairs(self) -> None:
        order = np.lexsort((self.gains, self.item_ids, self.query_ids))
        query, item, gain = self.query_ids[order], self.item_ids[order], self.gains[order]
        is_again = (query[1:] == query[:-1]) & (item[1:] == item[:-1])
        torn = np.flatnonzero(is_again & (gain[1:] != gain[:-1]))
        if len(torn):
            i = int(torn[0])
            raise ValueError(
                f"query {str(query[i])!r} and item {str(item[i])!r} are judged twice, with gains "
                f"{gain[i]:g} and {gain[i + 1]:g}; keep one of them"
            )


def relevance_from_qrels(
    qrels: Qrels, query_ids: LabelArray, gallery_ids: LabelArray, *, is_part: bool = False
) -> Relevance:
    """Return which gallery positions are relevant to which query, with their gains.

    Ids are compared as text, so that 17 and "17" are one.

    Args:
        qrels: the judgements.
        query_ids: the queries, each once, in order. Shape: (n_queries,)
        gallery_ids: the gallery's items, each once, in order. Shape: (n_gallery,)
        is_part: whether these items are a part of the judged gallery. Judgements of others are
            then left out, and a query may be left without a relevant item.

    Raises:
        ValueError: if an id occurs twice, a judged query or item is unknown, or a query has no
            relevant item; each with an example.
    """
    queries, known = _positions("query", qrels.query_ids, query_ids)
    _check_known("query", "queries", qrels.query_ids[~known])
    items, held = _positions("item", qrels.item_ids, gallery_ids)
    if not is_part:
        _check_known("item", "items of the gallery", qrels.item_ids[~held])
    kept = np.flatnonzero(held & (qrels.gains > 0))
    pairs, first = np.unique(queries[kept] * len(gallery_ids) + items[kept], return_index=True)
    rows, indices = np.divmod(pairs, max(len(gallery_ids), 1))
    n_relevant = np.bincount(rows, minlength=len(query_ids))
    if not is_part and not n_relevant.all():
        lost = np.flatnonzero(n_relevant == 0)
        raise ValueError(
            f"{len(lost)} of {len(query_ids)} queries have no judgement above 0, for example "
            f"query {str(query_ids[lost[0]])!r}; leave them out, or judge them"
        )
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(n_relevant, dtype=np.int64)])
    gains = qrels.gains[kept[first]].astype(np.float64)
    return Relevance(indptr, indices.astype(np.int64), len(gallery_ids), gains)


def _positions(what: str, wanted: LabelArray, ids: LabelArray) -> tuple[Int64Array, BoolArray]:
    """Return where each wanted id stands among the ids, and whether it does at all."""
    names = ids.astype(str).tolist()
    place = {name: i for i, name in enumerate(names)}
    if len(place) != len(names):
        twice = next(name for i, name in enumerate(names) if place[name] != i)
        raise ValueError(f"{what} ids must differ but {twice!r} occurs twice")
    found = np.array([place.get(name, -1) for name in wanted.tolist()], dtype=np.int64)
    return found, found >= 0


def _check_known(what: str, among: str, unknown: LabelArray) -> None:
    if len(unknown):
        names = np.unique(unknown)
        raise ValueError(
            f"{len(names)} judged {what} ids are not among the {among}, for example "
            f"{str(unknown[0])!r}; leave those judgements out, or add what they name"
        )
