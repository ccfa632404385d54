"""What thresholds do, in sentences: on certificates, on the terminal and in reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .score_metrics import ratio_asked
from .scored import OperatingPoint


def threshold_sentences(
    points: Mapping[str, Sequence[OperatingPoint]], baseline: str, cell: str
) -> list[str]:
    """Say for each operating point what was measured in the baseline's cell and in the certified.

    Args:
        points: operating points by cell, of one policy.
        baseline: name of the baseline's cell.
        cell: name of the certified cell.

    Returns:
        Nothing if no scores were measured.
    """
    pairs = zip(points.get(baseline, ()), points.get(cell, ()), strict=True)
    return [
        f"{cell!r}, {_deployed(old, new) if old.is_deployed else _recalibrated(old, new)}: "
        "measured, without a bound."
        for old, new in pairs
    ]


def ratio_note(metrics: Iterable[str]) -> str | None:
    """Say what stands as the baseline of a ratio of FAR, if one is among some metrics."""
    if not any(ratio_asked(metric) for metric in metrics):
        return None
    return (
        "Of FAR<=rx the value before is what it allows, 1 - r times the FAR before, and the value "
        "after is 1 - FAR."
    )


def ratio(old: OperatingPoint, new: OperatingPoint) -> float | None:
    """Return how many times as many impostor pairs match as before, or None if none did."""
    return new.error_rate / old.error_rate if old.error_rate > 0 else None


def times(old: OperatingPoint, new: OperatingPoint) -> str:
    """Say how many times as many impostor pairs match as before."""
    found = ratio(old, new)
    if found is not None:
        return f"{found:.3g} times as many"
    return "none before" if new.error_rate > 0 else "none, before or after"


def threshold_rows(
    before: Sequence[OperatingPoint], after: Sequence[OperatingPoint]
) -> list[tuple[str, ...]]:
    """Return a row for each operating point: its name, thresholds and false accepts, and change."""
    return [
        (
            new.name,
            f"{old.threshold:.4f}",
            f"{new.threshold:.4f}",
            f"{old.error_rate:.3g}",
            f"{new.error_rate:.3g}",
            times(old, new) if new.is_deployed else "",
        )
        for old, new in zip(before, after, strict=True)
    ]


def _deployed(old: OperatingPoint, new: OperatingPoint) -> str:
    return (
        f"at {old.name}: FAR of all pairs {old.error_rate:.3g} before and {new.error_rate:.3g} "
        f"after ({times(old, new)})"
    )


def _recalibrated(old: OperatingPoint, new: OperatingPoint) -> str:
    return (
        f"at {old.name}: kept by the threshold {old.threshold:.4f} before and "
        f"{new.threshold:.4f} after; kept on one half of the units, the other half had "
        f"{old.error_rate:.3g} and {new.error_rate:.3g}"
    )
