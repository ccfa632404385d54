"""Explaining a search: by the very search path, with what each segment offered and why it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Float32Array, Float64Array, LabelArray
from ..db import certificates
from ..db.session import Connection, read
from ..domain.explanations import (
    Candidate,
    ExplainedHit,
    Explanation,
    ItemFate,
    Outcome,
    SegmentSearch,
)
from ..domain.galleries import Metric, Segment
from ..domain.promotions import SAME_SPACE
from ..domain.refs import VersionRef
from ..errors import InvalidInputError
from ..galleries.geometry import in_chunks
from ..galleries.merging import mapped, merge, on_scale
from ..galleries.pair_scores import score_all
from ..galleries.search import SearchTarget, asked_of, search_each
from ..vectors import Hits, check_ids
from .context import Context
from .serving import Asked, check_queries
from .standing import condition_of
from .views import GalleryState, GalleryView, Views

Offer = tuple[SearchTarget, Hits]


@dataclass(frozen=True, slots=True)
class _Scored:
    """The exact scores of all rows of a segment, raw and on the gallery's scale."""

    target: SearchTarget
    raw: Float32Array
    scores: Float64Array


def explain(
    context: Context,
    views: Views,
    gallery: str,
    query: Asked,
    item_ids: LabelArray | None,
    k: int,
) -> Explanation:
    """Return how one query is answered; see `Queries.explain`."""
    view = views.current(gallery)
    state = view.state
    asked, own = check_queries(view, query)
    if len(asked) != 1 or k < 1:
        raise InvalidInputError(
            f"one query at a time is explained, with 1 hit or more, not {len(asked)} with {k}"
        )
    wanted = [] if item_ids is None else check_ids(item_ids, len(item_ids)).tolist()
    offers = search_each(view.targets, asked, k, state.gallery.metric, own=own)
    hits = _hits(state, offers, k)
    with read(context.engine) as connection:
        segments = tuple(
            _segment(context, connection, view, segment, offers, hits)
            for segment in state.gallery.segments
        )
        held = _held(connection, views, state, wanted) if wanted else {}
        scored = [
            _score_rows(target, asked, own, state.gallery.metric)
            for target in (view.targets if wanted else ())
        ]
    return Explanation(
        gallery=gallery,
        metric=state.gallery.metric.value,
        query_version=state.query_version.ref,
        served_by=state.served_by.name,
        k=k,
        hits=hits,
        segments=segments,
        items=tuple(_fates(state, scored, held, wanted, hits)),
    )


def _hits(state: GalleryState, offers: Sequence[Offer], k: int) -> tuple[ExplainedHit, ...]:
    """Merge the offers as search does, and say of each hit where it came from."""
    if not offers:
        return ()
    found = _merged(offers, k)
    origin = {
        item: (target.reader.segment.number, rank)
        for target, offer in offers
        for rank, (item, _, _) in enumerate(_found(offer), 1)
    }
    numbers = found.versions[0].tolist()
    return tuple(
        ExplainedHit(rank, *hit, VersionRef(state.gallery.model, number), *origin[hit[0]])
        for rank, (hit, number) in enumerate(zip(_found(found), numbers, strict=False), 1)
    )


def _merged(offers: Sequence[Offer], k: int) -> Hits:
    return merge([hits for _, hits in offers], [target.to_scale for target, _ in offers], k)


def _found(hits: Hits) -> list[tuple[Any, float, float]]:
    """Return id, score and raw score of what was found for the one query."""
    found = hits.scores[0] > -np.inf
    columns = (hits.ids, hits.scores, hits.raw_scores)
    return list(zip(*(column[0][found].tolist() for column in columns), strict=True))


def _segment(
    context: Context,
    connection: Connection,
    view: GalleryView,
    segment: Segment,
    offers: Sequence[Offer],
    hits: Sequence[ExplainedHit],
) -> SegmentSearch:
    facts = (segment.number, segment.version, segment.state.value, segment.n_items)
    offered = [offer for offer in offers if offer[0].reader.segment.number == segment.number]
    if not offered:
        return SegmentSearch(*facts, hidden=_why_hidden(view.state, segment))
    ((target, found),) = offered
    basis = view.state.serving.basis[target.version_number]
    ranks = {hit.id: hit.rank for hit in hits}
    return SegmentSearch(
        *facts,
        contract=target.contract,
        basis=basis,
        standing=_standing(context, connection, view.state, basis),
        to_scale=target.to_scale,
        searched_by=_searched_by(view.state, target),
        candidates=tuple(
            Candidate(*offer, rank, ranks.get(offer[0]))
            for rank, offer in enumerate(_found(mapped(found, target.to_scale)), 1)
        ),
    )


def _why_hidden(state: GalleryState, segment: Segment) -> str:
    if segment.n_items == 0:
        return "it holds no items" if segment.n_rows == 0 else "all of its items are deleted"
    event = state.served_by
    reason = str(event.payload.get("reason", ""))
    said = f" ({reason})" if reason else ""
    return (
        f"{state.query_version.ref} was not shown fit to search vectors of {segment.version}; "
        f"{event.actor} accepted their loss on {event.at:%Y-%m-%d}{said}"
    )


def _standing(context: Context, connection: Connection, state: GalleryState, basis: str) -> str:
    """Return what became of the certificate that a segment is searched on the strength of."""
    if basis.startswith((SAME_SPACE, "waiver: ")):
        return ""
    stored = certificates.get_certificate(connection, basis)
    return str(condition_of(connection, state, stored.certificate, context.clock()).condition)


def _searched_by(state: GalleryState, target: SearchTarget) -> str:
    if target.reader.uses_index(target.contract.dims):
        spec = state.gallery.index
        return f"{spec.backend} {spec.factory}".strip()
    return "all rows"


def _fates(
    state: GalleryState,
    scored: Sequence[_Scored],
    held: Mapping[Any, tuple[Segment, int]],
    wanted: Sequence[Any],
    hits: Sequence[ExplainedHit],
) -> list[ItemFate]:
    """Return what became of the items, each with its exact scores and place."""
    scores = {one.target.reader.segment.number: one for one in scored}
    live = [one.scores[one.target.reader.live] for one in scored]
    compared = np.sort(np.concatenate(live)) if live else np.empty(0)
    found = {hit.id for hit in hits}
    fates = []
    for item in wanted:
        segment, position = held.get(item, (None, -1))
        if segment is None:
            fates.append(ItemFate(item, Outcome.ABSENT))
        elif segment.number not in scores:
            fates.append(ItemFate(item, Outcome.HIDDEN, segment.number, segment.version))
        else:
            one = scores[segment.number]
            score, raw = one.scores[position], float(one.raw[position])
            place = 1 + len(compared) - int(np.searchsorted(compared, score, side="right"))
            outcome = _outcome(state, one.target, is_hit=item in found, is_near=place <= len(hits))
            where = (segment.number, segment.version)
            fates.append(ItemFate(item, outcome, *where, float(np.float32(score)), raw, place))
    return fates


def _outcome(state: GalleryState, target: SearchTarget, *, is_hit: bool, is_near: bool) -> Outcome:
    if is_hit:
        return Outcome.HIT
    is_exact = state.gallery.index.is_exact or not target.reader.uses_index(target.contract.dims)
    return Outcome.MISSED if is_near and not is_exact else Outcome.BEATEN


def _held(
    connection: Connection, views: Views, state: GalleryState, wanted: Sequence[Any]
) -> Mapping[Any, tuple[Segment, int]]:
    """Return in which segment and row each item is that lives."""
    ids = np.array(wanted, np.int64 if isinstance(wanted[0], int) else object)
    held: dict[Any, tuple[Segment, int]] = {}
    for segment in state.gallery.segments:
        if segment.n_items > 0:
            member = state.versions[segment.version.number]
            reader = views.reader(state.gallery.name, segment, member, connection)
            positions = reader.positions_of(ids)
            names = reader.take_ids(positions).tolist()
            held |= {
                name: (segment, position)
                for name, position in zip(names, positions.tolist(), strict=True)
            }
    return held


def _score_rows(
    target: SearchTarget,
    queries: Float32Array,
    own: Mapping[int, Float32Array],
    metric: Metric,
) -> _Scored:
    """Score every row of a segment exactly."""
    asked, raw = asked_of(target, queries, own), np.empty(target.reader.n_rows, np.float32)
    for first, rows in in_chunks(block for _, block in target.reader.blocks()):
        raw[first : first + len(rows)] = score_all(asked, rows, target.contract, metric)[0]
    return _Scored(target, raw, on_scale(target.to_scale, raw))
