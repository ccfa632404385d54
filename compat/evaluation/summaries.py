"""More numbers that the literature sums up an upgrade in: BC, FC, the tax, P_up, P_comp and P_1.

All are plain arithmetic on means; which differences are more than noise is for certification.

References:
    [1] Biondi et al., "CL2R: compatible lifelong learning representations", TOMM 2023; the formulas
        as in the authors' released code, read for facts.
    [2] Pan et al., "Boundary-aware backward-compatible representation via adversarial learning in
        image retrieval" (AdvBCT), CVPR 2023; the formulas recovered from its tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import Float64Array

from .compatibility import check_square, update_gain


def backward_compatibility(matrix: Float64Array) -> float:
    """Return BC: the mean over k < T of C[T, k] - C[k, k], with T the newest version [1].

    How much better, or if negative worse, the newest queries do on each old gallery than those it
    was made for. Versions with a missing cell are left out.

    Args:
        matrix: what is above the diagonal is ignored. Shape: (n_versions, n_versions)

    Raises:
        ValueError: if the matrix is not square or no difference was measured.
    """
    check_square(matrix)
    return _mean_measured(matrix[-1, :-1] - np.diag(matrix)[:-1])


def forward_compatibility(matrix: Float64Array) -> float:
    """Return FC: the mean over k > 1 of C[k, k - 1] - C[k, k] [1].

    How much is lost, at each upgrade, by searching the previous gallery instead of one that was
    backfilled; it is usually negative. Versions with a missing cell are left out.

    Args:
        matrix: what is above the diagonal is ignored. Shape: (n_versions, n_versions)

    Raises:
        ValueError: if the matrix is not square or no difference was measured.
    """
    check_square(matrix)
    return _mean_measured(np.diag(matrix, k=-1) - np.diag(matrix)[1:])


def compatibility_tax(new_new: float, independent_new_new: float) -> float:
    """Return what compatibility costs the new model itself: C*_nn - C_nn.

    Args:
        new_new: self-test of the new model.
        independent_new_new: self-test of its twin, trained without a compatibility objective.
    """
    return independent_new_new - new_new


@dataclass(frozen=True, slots=True)
class UpgradeScores:
    """P_up, P_comp and P_1 of one upgrade [2]; the published tables show 100 times these.

    Attributes:
        p_up: in (0, 1); 0.5 if the new model is as good in itself as its independent twin.
        p_comp: in (0, 1); 0.5 at the compatibility boundary, 0.73 if new queries do as well on the
            old gallery as the twin does on its own.
        p_1: mean over test sets of the harmonic mean of both.
    """

    p_up: float
    p_comp: float
    p_1: float


def upgrade_scores(
    *,
    old_old: Float64Array,
    new_old: Float64Array,
    new_new: Float64Array,
    independent_new_new: Float64Array,
) -> UpgradeScores:
    """Return P_up, P_comp and P_1 over test sets, with σ the logistic function [2].

    P_up   = mean σ((C_nn - C*_nn) / C*_nn)
    P_comp = mean σ((C_no - C_oo) / (C*_nn - C_oo)), the σ of the update gain

    Args:
        old_old: self-test of the old model on each test set. Shape: (n_sets,)
        new_old: new queries on the old gallery. Shape: (n_sets,)
        new_new: self-test of the new model. Shape: (n_sets,)
        independent_new_new: self-test of its independent twin, above 0 and above `old_old`. Shape:
            (n_sets,)

    Raises:
        ValueError: if shapes differ, or the twin is not better than the old model on some set.
    """
    shapes = {a.shape for a in (old_old, new_old, new_new, independent_new_new)}
    if len(shapes) != 1 or old_old.ndim != 1 or old_old.size == 0:
        raise ValueError(f"scores must be 1-d, one value a test set, but have shapes {shapes}")
    if not np.all(independent_new_new > 0):
        raise ValueError(f"the independent model must score above 0 but got {independent_new_new}")
    up = _sigmoid((new_new - independent_new_new) / independent_new_new)
    gains = [
        update_gain(*map(float, scores))
        for scores in zip(new_old, old_old, independent_new_new, strict=True)
    ]
    comp = _sigmoid(np.array(gains))
    both = 2 * up * comp / (up + comp)
    return UpgradeScores(float(up.mean()), float(comp.mean()), float(both.mean()))


def _sigmoid(values: Float64Array) -> Float64Array:
    return np.asarray(1 / (1 + np.exp(-values)), dtype=np.float64)


def _mean_measured(differences: Float64Array) -> float:
    measured = differences[~np.isnan(differences)]
    if measured.size == 0:
        raise ValueError("no pair of versions has both cells that the difference is taken of")
    return float(measured.mean())
