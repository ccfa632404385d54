"""What a certificate does not say: its limits, in sentences."""

from __future__ import annotations

from compat.cells import own_positions
from compat.integrity import describe_probe
from compat.probes import Probe
from registry.domain.places import ON_OLD
from registry.domain.policies import BCA, Policy

from .bench import Bench, Measured
from .merging import describe_mixed
from .pairs import Study
from .scores import score_limits


def find_limits(bench: Bench, measured: Measured, study: Study) -> tuple[str, ...]:
    """Return what a certificate does not say, and what it takes on trust, in sentences."""
    spec = bench.registry.galleries.get(bench.gallery).index
    found = [
        "The bounds speak of other queries of the same population on this gallery.",
        "Each version is one training run; variation over seeds was not measured.",
        *score_limits(bench, measured, study),
        "That rows of query vectors and of labels belong together was taken on trust.",
        "Metrics are of exact search, which the gallery's own search is."
        if spec.is_exact
        else "Metrics are of exact search; what the gallery's own index finds stands beside it: "
        f"'served: {spec.backend} {spec.factory}'.",
    ]
    found += _policy_limits(bench.policy, is_balanced=measured.forward.scores[ON_OLD].is_balanced)
    if bench.probe.queries.qrels is not None:
        found.append(
            "Relevance is by judgements (qrels): what was not judged counts as not relevant, and "
            "the unit of resampling is the query."
        )
    found += [*bench.trained.limits, *_probe_limits(bench.probe, measured)]
    found += describe_mixed(study, measured.cells, bench.policy)
    if any(rule.on != ON_OLD for rule in bench.policy.requirements):
        found.append(
            "Planted controls were tried by exact search on the old vectors only, not on the "
            "gallery's own index and not on mixed galleries."
        )
    if measured.back is None:
        found.append(
            "The way back (old queries on new vectors) and the new self-test were not measured: "
            "no re-embedded items were given, or the old version is not the one in force."
        )
    return tuple(found)


def _policy_limits(policy: Policy, *, is_balanced: bool) -> list[str]:
    """Return what the policy's way of counting leaves open."""
    found = []
    if policy.average == "unit" and not is_balanced:
        found.append(
            "Classes differ in how many queries they have: findings and bounds are means over "
            "classes, each counting once, the matrix holds means over queries."
        )
    if policy.largest_unit is not None:
        found.append(
            f"That no class has more than {policy.largest_unit} queries is the policy's word."
        )
    if policy.bound == BCA:
        found.append(
            "The bounds are those of the BCa bootstrap, which is approximate, and too sure of "
            "itself where losses are rare or units are few."
        )
    return found


def describe_small(study: Study, min_units: int) -> tuple[str, ...]:
    """Return one sentence for each group that has too few units to be decided."""
    few = {f.group: f.n_clusters for f in study.findings if f.n_clusters < min_units}
    return tuple(
        f"Group {group!r} has {n_units} independent units, fewer than the {min_units} that the "
        "policy asks for: it is INCONCLUSIVE, whatever its bounds."
        for group, n_units in few.items()
    )


def _probe_limits(probe: Probe, measured: Measured) -> tuple[str, ...]:
    asked, pair = probe.queries, measured.forward.pair
    queries = [probe.vectors_of(ref) for ref in (pair.query_version, pair.baseline_version)]
    if asked.qrels is not None:
        return describe_probe(queries, 0)
    among = own_positions(asked.ids, measured.item_ids) >= 0
    return describe_probe(queries, int(among.sum()))
