"""From confidence bounds to verdicts. The point estimate has no say."""

from __future__ import annotations

from collections.abc import Iterable

from registry.domain.certificates import Criterion, Verdict

from .bounds import DifferenceBounds


def decide(bounds: DifferenceBounds, *, criterion: Criterion, margin: float) -> Verdict:
    """Return what the bounds of candidate minus baseline show.

    Superiority asks for a difference above 0, non-inferiority for one not below ``-margin``.
    COMPATIBLE if the lower bound shows it, INCOMPATIBLE if the upper bound excludes it, each with
    the bounds' confidence; otherwise INCONCLUSIVE.

    Args:
        bounds: of the mean difference.
        criterion: what has to be shown.
        margin: how much worse is still accepted, in units of the metric; 0 for superiority.

    Raises:
        ValueError: if the margin is negative or NaN, or is not 0 for superiority.
    """
    if not margin >= 0:
        raise ValueError(f"margin must be at least 0 but got {margin}")
    if criterion is Criterion.SUPERIORITY:
        if margin != 0:
            raise ValueError(f"superiority has no margin: it must be 0 but got {margin}")
        is_shown, is_excluded = bounds.low > 0, bounds.high <= 0
    else:
        is_shown, is_excluded = bounds.low >= -margin, bounds.high < -margin
    if is_shown:
        return Verdict.COMPATIBLE
    return Verdict.INCOMPATIBLE if is_excluded else Verdict.INCONCLUSIVE


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on all claims together: an intersection-union test [1].

    COMPATIBLE if all are, INCOMPATIBLE if any is, otherwise INCONCLUSIVE. COMPATIBLE keeps the
    level of the single claims without a correction, because all of them must be shown.
    INCOMPATIBLE does not: among m claims that hold, some may be refuted by chance with up to m
    times the error of one. It errs on the side of not promoting.

    Raises:
        ValueError: if there is no verdict.

    References:
        [1] Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics
            24(4), 1982.
    """
    found = set(verdicts)
    if not found:
        raise ValueError("at least one verdict is needed but got none")
    if Verdict.INCOMPATIBLE in found:
        return Verdict.INCOMPATIBLE
    return Verdict.COMPATIBLE if found == {Verdict.COMPATIBLE} else Verdict.INCONCLUSIVE
