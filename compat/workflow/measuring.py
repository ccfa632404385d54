"""Measuring every cell that a candidate and one old version span on a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compat.cells import SearchedItems
from compat.evaluation.ranking import RankingScores
from compat.guarantee import with_guarantee
from compat.integrity import check_probe_vectors
from compat.matrix import ByMetric, cell_name, mixed_name, raw_name, served_name
from compat.mixing import MixedItems, MixedQueries
from compat.probes import digest_array
from compat.served import exactly_served, measure_served, served_metrics
from registry.domain.canonical import digest_json
from registry.domain.contracts import Contract, ContractKind
from registry.domain.places import ON_MIXED, ON_OLD, ON_SERVED, mixed_place
from registry.domain.refs import VersionRef
from registry.domain.versions import ModelVersion
from registry.errors import UndeclaredComparisonError
from registry.galleries.search import SearchTarget

from .bench import Bench, Measured
from .items import check_answerable, check_space, reembedded_items, stored_items
from .merging import merge_parts
from .pairs import Pair, Study, paired, study_pair


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
    items = stored_items(readers, bench.gallery, bench.probe)
    check_answerable(bench.gallery, bench.probe.queries, items)
    baseline = bench.cell(old, items, _itself(old))
    pair = Pair(new.ref, old.ref, old.ref, contract, state.gallery.metric)
    by = _itself(old) if contract.has_own_encoder else contract
    targets = [SearchTarget(reader, by, old.ref.number) for reader in readers]
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
            cell_name(new.ref, old.ref): _guaranteed(bench, pair, baseline, forward, items),
        },
        items.ids,
        digest_json(
            [[part.file.digest for part in s.parts] for s in segments] + [digest_array(items.ids)]
        ),
    )
    _measure_on_index(bench, old, new, targets, items, measured)
    if bench.probe.reembedded is not None:
        _measure_back(bench, old, new, items, measured)
    return measured


def _guaranteed(
    bench: Bench, pair: Pair, baseline: RankingScores, forward: Study, items: SearchedItems
) -> RankingScores:
    """Return the certified cell, with the queries whose first hit is guaranteed."""
    old, new = (
        bench.probe.vectors_of(ref).vectors for ref in (pair.baseline_version, pair.asked_by)
    )
    return with_guarantee(
        forward.measured,
        baseline,
        old_queries=old,
        new_queries=new,
        asked=bench.probe.queries,
        items=items,
        contract=pair.contract,
        metric=pair.metric,
    )


def _measure_on_index(
    bench: Bench,
    old: ModelVersion,
    new: ModelVersion,
    targets: Sequence[SearchTarget],
    items: SearchedItems,
    measured: Measured,
) -> None:
    """Measure what the gallery's own index finds for both versions, and what is required of it."""
    pair = measured.forward.pair
    cells = [cell_name(version.ref, old.ref) for version in (old, new)]
    numbers: list[ByMetric] = [
        exactly_served(measured.cells[cell].by_name, bench.policy) for cell in cells
    ]
    spec = measured.gallery.index
    if not spec.is_exact:
        itself = [replace(target, contract=_itself(old)) for target in targets]
        numbers = [
            _measure_served(bench, cell, asked_by, searched, items, measured)
            for cell, asked_by, searched in zip(
                cells, (old.ref, pair.asked_by), (itself, targets), strict=True
            )
        ]
        names = [served_name(cell, spec.backend, spec.factory) for cell in cells]
        measured.served |= dict(zip(names, numbers, strict=True))
    if bench.policy.asks(ON_SERVED):
        scores = paired(bench.probe, bench.policy, *numbers)
        measured.forward = measured.forward.found_on(ON_SERVED, scores, bench.policy)


def _measure_served(
    bench: Bench,
    cell: str,
    asked_by: VersionRef,
    targets: Sequence[SearchTarget],
    items: SearchedItems,
    measured: Measured,
) -> ByMetric:
    return measure_served(
        targets,
        bench.probe.vectors_of(asked_by).vectors,
        bench.probe.queries,
        items,
        measured.gallery.metric,
        wanted=served_metrics(bench.policy),
        exact=measured.cells[cell].top,
    )


def check_pair(bench: Bench, old: ModelVersion, new: ModelVersion) -> None:
    """Refuse a pair that cannot be measured, before anything is.

    Raises:
        UndeclaredComparisonError, SpaceMismatchError, InvalidInputError: as `measure`.
    """
    _contract(bench, new, old)
    for version in (old, new):
        queries = bench.probe.vectors_of(version.ref)
        check_space(queries.version, version)
        check_probe_vectors(queries)


def _measure_back(
    bench: Bench, old: ModelVersion, new: ModelVersion, items: SearchedItems, measured: Measured
) -> None:
    again = reembedded_items(bench.gallery, bench.probe, new, items)
    measured.cells[cell_name(new.ref, new.ref)] = bench.cell(new, again, _itself(new))
    to_old, to_new = _contract(bench, new, old), _itself(new)
    mixed = MixedItems(
        items, again.blocks[0], np.empty(0, bool), to_old, to_new, measured.gallery.metric
    )
    measured.forward = _measure_mixed(bench, new, mixed, measured.forward, measured)
    state = bench.registry.galleries.state(bench.gallery)
    if old.ref != state.query_version.ref:
        return
    to_new = _contract(bench, old, new)
    pair = Pair(old.ref, new.ref, old.ref, to_new, state.gallery.metric)
    baseline = measured.cells[cell_name(old.ref, old.ref)]
    back = study_pair(
        pair,
        bench.probe,
        again,
        baseline,
        bench.policy,
        old_items=items,
        leakage=bench.trained.leakage,
    )
    measured.cells[cell_name(old.ref, new.ref)] = back.measured
    mixed = replace(mixed, old_contract=_itself(old), new_contract=to_new)
    measured.back = _measure_mixed(bench, old, mixed, back, measured)


def _measure_mixed(
    bench: Bench, query: ModelVersion, items: MixedItems, study: Study, measured: Measured
) -> Study:
    """Measure a version's queries on the gallery as a partial backfill would leave it."""
    policy, baseline = bench.policy, study.scores[ON_OLD].baseline
    on_old, on_new = (
        bench.probe.vectors_of(version if contract.has_own_encoder else query.ref).vectors
        for version, contract in zip(
            measured.pair_versions, (items.old_contract, items.new_contract), strict=True
        )
    )
    cells = [cell_name(query.ref, version) for version in measured.pair_versions]
    merge = merge_parts(
        bench.probe,
        policy,
        MixedQueries(on_old, on_new),
        items,
        measured.cells[measured.baseline],
        {cell: measured.cells[cell] for cell in cells},
    )
    for place, share in enumerate(policy.mixed):
        name, found = mixed_name(query.ref, share), merge.found[place]
        measured.cells[name] = found
        if merge.raw:
            measured.cells[raw_name(name)] = merge.raw[place]
        if policy.asks(ON_MIXED):
            scores = paired(bench.probe, policy, baseline, found.by_name)
            study = study.found_on(mixed_place(share), scores, policy)
    return replace(study, calibration=merge.maps)


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
