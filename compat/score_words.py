"""What thresholds do, in sentences: on certificates, on the terminal and in reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .scored import OperatingPoint


def threshold_sentences(
    points: Mapping[str, Sequence[OperatingPoint]], baseline: str, cell: str
) -> list[str]:
    """Say for each operating point what was found in the baseline's cell and in the certified one.

    Args:
        points: operating points by cell, of one policy.
        baseline: name of the baseline's cell.
        cell: name of the certified cell.

    Returns:
        Nothing if no scores were measured.
    """
    pairs = zip(points.get(baseline, ()), points.get(cell, ()), strict=True)
    return [
        _deployed(old, new, baseline, cell)
        if old.is_deployed
        else _recalibrated(old, new, baseline, cell)
        for old, new in pairs
    ]


def ratio(old: OperatingPoint, new: OperatingPoint) -> float | None:
    """Return how many times as many impostor pairs match as before, or None if none did."""
    return new.error_rate / old.error_rate if old.error_rate > 0 else None


def times(old: OperatingPoint, new: OperatingPoint) -> str:
    """Say how many times as many impostor pairs match as before."""
    found = ratio(old, new)
    if found is not None:
        return f"{found:.3g} times as many"
    return "none before" if new.error_rate > 0 else "none, before or after"


def _deployed(old: OperatingPoint, new: OperatingPoint, baseline: str, cell: str) -> str:
    return (
        f"At {old.name} the share of impostor pairs accepted (FAR) was {old.error_rate:.3g} for "
        f"{baseline!r} and {new.error_rate:.3g} for {cell!r}, {times(old, new)}: measured over all "
        "pairs, no claim with a bound."
    )


def _recalibrated(old: OperatingPoint, new: OperatingPoint, baseline: str, cell: str) -> str:
    return (
        f"{old.name} is kept by the threshold {old.threshold:.4f} for {baseline!r} and by "
        f"{new.threshold:.4f} for {cell!r}, found on all queries; found on one half of the units "
        f"and used on the other, the rate came to {old.error_rate:.3g} and {new.error_rate:.3g}. "
        "Bounds take thresholds as found: they do not say how another draw would move them."
    )
