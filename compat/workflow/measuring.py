"""Measuring every cell that a candidate and one old version span on a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from compat.cells import SearchedItems, itself_among, measure_cell, relevance_of
from compat.evaluation.qrels import relevance_from_qrels
from compat.evaluation.ranking import RankingScores
from compat.integrity import check_probe_vectors
from compat.matrix import ByMetric, cell_name, mixed_name, served_name
from compat.mixing import SHARES, MixedItems, measure_mixed, nest_shares
from compat.probes import Probe, align_labels, digest_array
from compat.served import measure_served
from registry.arrays import Float32Array, Int64Array, LabelArray
from registry.domain.canonical import digest_json
from registry.domain.contracts import Contract, ContractKind
from registry.domain.galleries import Gallery
from registry.domain.policies import Policy
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError, SpaceMismatchError, UndeclaredComparisonError
from registry.galleries.search import SearchTarget
from registry.galleries.segments import SegmentReader
from registry.service import Registry

from .pairs import TOP_K, Pair, Study, metric_ks, study_pair
from .trained_on import Trained


@dataclass(slots=True)
class Measured:
    """All that was measured of a candidate against one old version.

    Attributes:
        forward: the candidate's queries on the old vectors.
        back: old queries on the candidate's vectors, or None if that was not measured.
        cells: per-query scores by ``query version -> gallery version``, of exact search.
        served: what the gallery's own index finds, by a cell's name, unless it is exact.
        item_ids: ids of the items that were searched.
        gallery_digest: digest of the vectors that were searched.
        gallery: the gallery as it was when its vectors were read.
    """

    forward: Study
    back: Study | None
    gallery: Gallery
    cells: dict[str, RankingScores] = field(default_factory=dict)
    item_ids: LabelArray = field(default_factory=lambda: np.empty(0, np.int64))
    gallery_digest: str = ""
    served: dict[str, ByMetric] = field(default_factory=dict)

    @property
    def by_metric(self) -> dict[str, ByMetric]:
        """The per-query numbers of every cell."""
        exact = {cell: scores.by_name for cell, scores in self.cells.items()}
        return {**exact, **self.served}


@dataclass(frozen=True, slots=True)
class Bench:
    """Where measuring happens: the registry, the gallery, the probe and the rules.

    And what is known of the candidate's training data.
    """

    registry: Registry
    gallery: str
    probe: Probe
    policy: Policy
    trained: Trained

    def cell(self, query: ModelVersion, items: SearchedItems, contract: Contract) -> RankingScores:
        """Measure one version's queries on some items."""
        return measure_cell(
            self.probe.vectors_of(query.ref).vectors,
            self.probe.queries,
            items,
            contract=contract,
            metric=self.registry.galleries.get(self.gallery).metric,
            ks=metric_ks(self.policy),
            top_k=TOP_K,
        )


def measure(bench: Bench, old: ModelVersion, new: ModelVersion) -> Measured:
    """Measure old -> old and new -> old; with re-embedded items what needs those as well.

    That is new -> new, new -> galleries of which a part is new, and old -> new.

    Raises:
        UndeclaredComparisonError: if nobody declared how the two are compared.
        SpaceMismatchError: if the probe's vectors are of another space than they say.
        InvalidInputError: if the probe lacks vectors or labels.
    """
    check_pair(bench, old, new)
    contract = _contract(bench, new, old)
    state = bench.registry.galleries.state(bench.gallery)
    readers = bench.registry.galleries.readers_of(state, old.ref)
    items = _stored_items(readers, bench)
    _check_answerable(bench, items)
    baseline = bench.cell(old, items, _itself(old))
    pair = Pair(new.ref, old.ref, old.ref, contract, state.gallery.metric)
    targets = [SearchTarget(reader, contract, old.ref.number) for reader in readers]
    forward = study_pair(
        pair,
        bench.probe,
        items,
        baseline,
        bench.policy,
        old_items=items,
        targets=targets,
        leakage=bench.trained.leakage,
    )
    segments = [s for s in state.gallery.segments if s.version == old.ref]
    measured = Measured(
        forward,
        None,
        state.gallery,
        {
            cell_name(old.ref, old.ref): baseline,
            cell_name(new.ref, old.ref): forward.scores.candidate,
        },
        items.ids,
        digest_json(
            [[part.file.digest for part in s.parts] for s in segments] + [digest_array(items.ids)]
        ),
    )
    if not state.gallery.index.is_exact:
        itself = [replace(target, contract=_itself(old)) for target in targets]
        _measure_served(bench, old, itself, items, measured)
        _measure_served(bench, new, targets, items, measured)
    if bench.probe.reembedded is not None:
        _measure_back(bench, old, new, items, measured)
    return measured


def _measure_served(
    bench: Bench,
    query: ModelVersion,
    targets: Sequence[SearchTarget],
    items: SearchedItems,
    measured: Measured,
) -> None:
    """Measure a version's queries once more, by the index that will serve: a cell of its own."""
    spec, probe = measured.gallery.index, bench.probe
    cell = cell_name(query.ref, targets[0].reader.segment.version)
    measured.served[served_name(cell, spec.backend, spec.factory)] = measure_served(
        targets,
        probe.vectors_of(query.ref).vectors,
        probe.queries,
        items,
        measured.gallery.metric,
    )


def check_pair(bench: Bench, old: ModelVersion, new: ModelVersion) -> None:
    """Refuse a pair that cannot be measured, before anything is.

    Raises:
        UndeclaredComparisonError, SpaceMismatchError, InvalidInputError: as `measure`.
    """
    _contract(bench, new, old)
    for version in (old, new):
        queries = bench.probe.vectors_of(version.ref)
        _check_space(queries.version, version)
        check_probe_vectors(queries)


def _measure_back(
    bench: Bench, old: ModelVersion, new: ModelVersion, items: SearchedItems, measured: Measured
) -> None:
    again = _reembedded_items(bench, new, items)
    measured.cells[cell_name(new.ref, new.ref)] = bench.cell(new, again, _itself(new))
    _measure_mixed(bench, old, new, items, again, measured)
    state = bench.registry.galleries.state(bench.gallery)
    if old.ref != state.query_version.ref:
        return
    pair = Pair(old.ref, new.ref, old.ref, _contract(bench, old, new), state.gallery.metric)
    baseline = measured.cells[cell_name(old.ref, old.ref)]
    measured.back = study_pair(
        pair,
        bench.probe,
        again,
        baseline,
        bench.policy,
        old_items=items,
        leakage=bench.trained.leakage,
    )
    measured.cells[cell_name(old.ref, new.ref)] = measured.back.scores.candidate


def _measure_mixed(
    bench: Bench,
    old: ModelVersion,
    new: ModelVersion,
    items: SearchedItems,
    again: SearchedItems,
    measured: Measured,
) -> None:
    """Measure the candidate's queries on the gallery as a partial backfill would leave it."""
    rng = np.random.default_rng([bench.policy.seed, 2])
    (new_vectors,) = again.blocks
    contracts = (_contract(bench, new, old), _itself(new))
    for share, is_new in zip(SHARES, nest_shares(len(items.ids), SHARES, rng), strict=True):
        mixed = MixedItems(items, new_vectors, is_new, *contracts, measured.gallery.metric)
        measured.cells[mixed_name(new.ref, share)] = measure_mixed(
            bench.probe.vectors_of(new.ref).vectors,
            bench.probe.queries,
            mixed,
            ks=metric_ks(bench.policy),
            top_k=TOP_K,
        )


def _itself(version: ModelVersion) -> Contract:
    return Contract(ContractKind.SAME_SPACE, version.dim)


def _contract(bench: Bench, query: ModelVersion, gallery: ModelVersion) -> Contract:
    found = bench.registry.models.contract(query.ref, gallery.ref)
    if found is None:
        raise UndeclaredComparisonError(
            f"nobody declared how {query.ref} is compared with vectors of {gallery.ref}",
            hint=f"samespace model declare {query.ref} {gallery.ref} --dims N",
        )
    return found


def _check_space(found: ModelVersion, expected: ModelVersion) -> None:
    if found.fingerprint != expected.fingerprint:
        raise SpaceMismatchError(
            f"the probe's vectors of {expected.ref} carry another fingerprint: "
            f"{found.fingerprint[:19]}…, not {expected.fingerprint[:19]}…",
            hint="embed the queries again with the registered model",
        )


def _stored_items(readers: Sequence[SegmentReader], bench: Bench) -> SearchedItems:
    ids = np.concatenate([reader.take_ids(reader.live_positions()) for reader in readers])
    given = bench.probe.gallery_labels
    labels = ids if given is None else align_labels(given, ids, bench.gallery)
    blocks = [block for reader in readers for block in _live_blocks(reader)]
    return SearchedItems(ids, labels, blocks)


def _live_blocks(reader: SegmentReader) -> list[Float32Array]:
    live = reader.live_positions()
    if len(live) == reader.n_rows:
        return [block for _, block in reader.blocks()]
    return [block[_within(live, first, len(block))] for first, block in reader.blocks()]


def _within(positions: Int64Array, first: int, size: int) -> Int64Array:
    inside = positions[(positions >= first) & (positions < first + size)]
    return inside - first


def _reembedded_items(bench: Bench, new: ModelVersion, items: SearchedItems) -> SearchedItems:
    again = bench.probe.reembedded
    if again is None:
        raise InvalidInputError("the probe has no re-embedded items")
    _check_space(again.version, new)
    place = {item: row for row, item in enumerate(again.ids.tolist())}
    missing = [item for item in items.ids.tolist() if item not in place]
    if missing:
        raise InvalidInputError(
            f"{len(missing)} of {len(items.ids)} items of gallery {bench.gallery!r} are not among "
            f"the re-embedded ones, for example {missing[0]!r}",
            hint="embed all of them with the new version, or leave the re-embedded items out",
        )
    rows = np.array([place[item] for item in items.ids.tolist()])
    return SearchedItems(items.ids, items.labels, [again.vectors[rows]])


def _check_answerable(bench: Bench, items: SearchedItems) -> None:
    asked = bench.probe.queries
    itself = itself_among(asked, items)
    unanswerable = np.flatnonzero(relevance_of(asked, items).without(itself).n_relevant == 0)
    if len(unanswerable):
        row = int(unanswerable[0])
        by = "" if asked.qrels is not None else f" with label {asked.labels.tolist()[row]!r}"
        other = " other than itself" if itself[row] >= 0 else ""
        raise InvalidInputError(
            f"{len(unanswerable)} of {len(asked.ids)} queries have no relevant item in gallery "
            f"{bench.gallery!r}, for example query {asked.ids.tolist()[row]!r}{by}{other}",
            hint="a query without a right answer measures nothing: leave those out",
        )


def check_judgements(bench: Bench) -> None:
    """Refuse judgements of queries that were not asked, or of items that the gallery lacks.

    Raises:
        InvalidInputError: if there are such, or a query has none above 0.
    """
    asked, galleries = bench.probe.queries, bench.registry.galleries
    if asked.qrels is None:
        return
    readers = [
        reader
        for version in galleries.get(bench.gallery).versions()
        for reader in galleries.readers(bench.gallery, version)
    ]
    ids = np.concatenate([reader.take_ids(reader.live_positions()) for reader in readers])
    try:
        relevance_from_qrels(asked.qrels, asked.ids, ids)
    except ValueError as error:
        raise InvalidInputError(
            f"the judgements do not fit gallery {bench.gallery!r}: {error}"
        ) from error
