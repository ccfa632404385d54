"""Replaying a certificate: its verdict once more, from its evidence alone.

Neither the registry nor a model nor a vector is needed: the rules are in the certificate, the
numbers of every query in its evidence. What is recomputed must be the same, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

import numpy as np

from registry.domain.canonical import Json, canonical_json
from registry.domain.certificates import Certificate
from registry.domain.conclusions import LEAKAGE, conclude
from registry.domain.galleries import IndexSpec
from registry.domain.places import ON_MIXED, ON_OLD, ON_SERVED, mixed_place
from registry.domain.policies import Policy
from registry.errors import InvalidInputError

from .attempts import digest_questions, rules_of
from .certification import PairedScores, chosen_groups, find
from .controls import OLD, RANDOM, ROTATED, SERVED, judge_controls
from .evidence import Evidence
from .matrix import ByMetric, cell_name, matrix_of, mixed_name, served_name
from .served import exactly_served

_RECOMPUTED = ("findings", "controls", "matrix", "verdict")


@dataclass(frozen=True, slots=True)
class Replay:
    """The outcome of a replay.

    Attributes:
        certificate: as it is with everything recomputed.
        difference: the first thing that differs, in words, or None.
    """

    certificate: Certificate
    difference: str | None

    @property
    def is_same(self) -> bool:
        """Whether every byte of the recomputed certificate is that of the recorded one."""
        return self.difference is None


def replay(certificate: Certificate, evidence: Evidence) -> Replay:
    """Recompute findings, controls, matrix and verdict, and compare them with what is said.

    Args:
        certificate: with the policy that it was made by.
        evidence: its evidence, whose digest was checked when it was read (`read_evidence`).

    Raises:
        InvalidInputError: if the evidence lacks what the certificate rests on, or has numbers
            that no measurement gives.
    """
    policy = rules_of(Policy.recorded(certificate.policy), certificate.attempt)
    found = _recomputed(certificate, evidence, policy)
    difference = _wrong_questions(certificate, evidence) or _wrong_units(evidence, policy)
    said, again = certificate.to_json(), found.to_json()
    for name in _RECOMPUTED:
        difference = difference or _difference(said[name], again[name], name)
    if difference is None and canonical_json(said) != canonical_json(again):
        difference = "its canonical JSON"
    return Replay(found, difference)


def _recomputed(certificate: Certificate, evidence: Evidence, policy: Policy) -> Certificate:
    groups = chosen_groups(evidence.asked, policy)
    places = {
        place: PairedScores(*cells, evidence.units, groups)
        for place, cells in _places(certificate, evidence, policy).items()
    }
    planted = {n: _numbers(evidence.planted, n) for n in (RANDOM, ROTATED, OLD)}
    served = evidence.planted.get(SERVED, {}).get("hit@1")
    try:
        found = [find(scores, policy, place) for place, scores in places.items()]
        findings = tuple(chain.from_iterable(found))
        leakage = evidence.planted.get(LEAKAGE)
        controls = judge_controls(places[ON_OLD], planted, served, policy, leakage)
        matrix = matrix_of(evidence.cells, evidence.asked)
    except ValueError as error:  # NaN, a number out of range, a metric that is not there
        raise InvalidInputError(f"the evidence cannot be judged: {error}") from error
    return replace(
        certificate,
        findings=findings,
        controls=controls,
        matrix=matrix,
        verdict=conclude(findings, controls),
    )


def _places(
    certificate: Certificate, evidence: Evidence, policy: Policy
) -> dict[str, tuple[ByMetric, ByMetric]]:
    """Return the numbers of baseline and candidate in every place where something is required."""
    query, baseline = certificate.query_version, certificate.baseline_version
    cells = (cell_name(baseline, baseline), cell_name(query, certificate.gallery_version))
    old, new = (_numbers(evidence.cells, name) for name in cells)
    found = {ON_OLD: (old, new)}
    if policy.asks(ON_SERVED) and not certificate.is_way_back:
        found[ON_SERVED] = (exactly_served(old, policy), exactly_served(new, policy))
        backend, factory = (str(certificate.index[name]) for name in ("backend", "factory"))
        if not IndexSpec(backend, factory).is_exact:
            names = [served_name(cell, backend, factory) for cell in cells]
            found[ON_SERVED] = (evidence.cells.get(names[0], {}), evidence.cells.get(names[1], {}))
    if policy.asks(ON_MIXED):
        for share in policy.mixed:
            found[mixed_place(share)] = (old, _numbers(evidence.cells, mixed_name(query, share)))
    return found


def _numbers(measured: Mapping[str, ByMetric], name: str) -> ByMetric:
    if "mAP" not in measured.get(name, {}):
        raise InvalidInputError(
            f"the evidence has no numbers of {name!r}, on which the certificate rests",
            hint="it belongs to another certificate, or is older than replay: certify again",
        )
    return measured[name]


def _wrong_questions(certificate: Certificate, evidence: Evidence) -> str | None:
    """Return how the queries are not those whose attempts were counted, if so."""
    attempt = certificate.attempt
    if attempt is None or attempt.questions == digest_questions(evidence.asked):
        return None
    return "attempt: the evidence is of other queries than those whose attempts were counted"


def _wrong_units(evidence: Evidence, policy: Policy) -> str | None:
    """Return how the units are not those that the policy resamples, if so."""
    units, labels = evidence.units.astype(str), evidence.asked.labels.astype(str)
    is_wrong = {
        "class": not np.array_equal(units, labels),
        "query": len(np.unique(units)) != len(units),
    }
    if not is_wrong.get(policy.unit, False):
        return None
    return f"units: the policy resamples each {policy.unit}, but the evidence other units"


def _difference(said: Json, found: Json, path: str) -> str | None:
    """Return the first place where two JSON values differ, with both, or None."""
    if isinstance(said, Mapping) and isinstance(found, Mapping):
        for key in sorted({*said, *found}):
            if key not in said or key not in found:
                only = "the certificate" if key in said else "the evidence"
                return f"{path}, {key}: only {only} has it"
            different = _difference(said[key], found[key], f"{path}, {key}")
            if different:
                return different
        return None
    if isinstance(said, list) and isinstance(found, list):
        return _difference(_named(said), _named(found), path)
    if canonical_json(said) == canonical_json(found):
        return None
    return f"{path}: the certificate says {said}, the evidence gives {found}"


def _named(values: Sequence[Json]) -> dict[str, Json]:
    """Return findings or controls with a name for each."""
    found: dict[str, Json] = {}
    for place, value in enumerate(values):
        one = cast("Mapping[str, Json]", value)
        what = one["name"] if "name" in one else f"{one['metric']} in {one['group']}"
        found[f"{place + 1} ({what})"] = value
    return found
