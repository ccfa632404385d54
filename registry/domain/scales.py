"""A gallery's scale: what its scores mean, carried from one version in charge to the next.

It is that of raw scores of the version that the gallery was made with. A certificate's maps lead
onto its baseline's scale; those of a baseline that was in charge before lead on to the gallery's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .calibration import AS_IT_IS, ScoreMap
from .certificates import Certificate
from .promotions import Serving

Maps = Mapping[int, ScoreMap]


def promoted_scale(
    stack: Sequence[Serving], number: int, proofs: Mapping[int, Certificate]
) -> Maps:
    """Return the maps of a version's scores on every version held, once it is promoted.

    A certificate whose baseline was in charge, the last one if there are several, is led on by the
    map that this version's own scores had then. So its own scores are on the gallery's scale, and
    there every other certificate meets it, for each maps those.

    Args:
        stack: what the gallery served until now, the present last.
        number: the version that is promoted.
        proofs: the certificate on every other version that is held.

    Returns:
        Nothing, so that raw scores are served, if a certificate has no maps or none has a baseline
        that was ever in charge.
    """
    by_baseline = {proof.baseline_version.number: _pairs(proof) for proof in proofs.values()}
    in_charge = [s for s in reversed(stack) if s.query_version in by_baseline]
    if not in_charge or not all(proof.calibration for proof in proofs.values()):
        return {}
    last = in_charge[0].query_version
    before = in_charge[0].calibration.get(last, AS_IT_IS)
    own = before.after(by_baseline[last][number])
    return _stated({number: own} | _met(own, number, proofs))


def rolled_back_scale(earlier: Serving, proofs: Mapping[int, Certificate]) -> Maps:
    """Return the maps of an earlier version's scores on every version that it will search.

    What it searched before keeps its map. What came since takes that of the certificate for the
    way back, which meets it in the earlier version's own scores.

    Args:
        earlier: what the gallery served when that version was in charge.
        proofs: the certificates that the rollback rests on, by version held.

    Returns:
        Nothing, so that raw scores are served, if a map is missing.
    """
    number = earlier.query_version
    since = {held: proof for held, proof in proofs.items() if held not in earlier.basis}
    if not all(proof.calibration for proof in since.values()):
        return {}
    before = {held: earlier.calibration.get(held, AS_IT_IS) for held in earlier.basis}
    return _stated(before | _met(before[number], number, since))


def _met(own: ScoreMap, number: int, proofs: Mapping[int, Certificate]) -> dict[int, ScoreMap]:
    """Lead each certificate's maps on to where the version's own scores are brought."""
    found = {}
    for held, proof in proofs.items():
        pairs = _pairs(proof)
        is_same = pairs[held] == pairs[number]
        found[held] = own if is_same else own.after(pairs[number].inverse).after(pairs[held])
    return found


def _pairs(proof: Certificate) -> dict[int, ScoreMap]:
    """Return a certificate's maps by number of the version whose vectors are searched."""
    return {int(pair.rpartition("@")[2]): found for pair, found in proof.calibration.items()}


def _stated(maps: Maps) -> Maps:
    steady = {number: found.steady() for number, found in sorted(maps.items())}
    return {} if all(found.is_identity for found in steady.values()) else steady
