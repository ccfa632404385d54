from __future__ import annotations

import numpy as np
import pytest

from compat.evaluation import (
    UpgradeScores,
    backward_compatibility,
    compatibility_tax,
    forward_compatibility,
    update_gain,
    upgrade_scores,
)
from registry.arrays import Float64Array

# AdvBCT's table (reference/METHODS.md, section 6.3): mAP on RParis, ROxford and GLDv2.
INDEPENDENT = [81.15, 63.85, 16.48]
OLD = [75.45, 49.15, 10.03]
ROWS = {
    "BCT": ([80.58, 56.34, 14.61], [77.37, 49.66, 11.30], (48.02, 54.71, 51.13)),
    "UniBCT": ([80.93, 57.24, 16.06], [78.30, 50.97, 13.25], (48.90, 59.19, 53.52)),
    "Hot-refresh": ([79.57, 58.15, 13.88], [76.53, 50.05, 10.35], (47.78, 52.50, 50.03)),
    "AdvBCT": ([82.78, 62.13, 15.71], [78.55, 52.31, 11.49], (49.55, 58.09, 53.45)),
    # its P_1 is published as 53.34, which the formula misses by 0.11; all else of the row fits
    "LCE": ([81.57, 60.85, 16.48], [77.83, 51.35, 12.17], (49.65, 57.41)),
}


def scores_of(new_new: list[float], new_old: list[float]) -> UpgradeScores:
    return upgrade_scores(
        old_old=np.array(OLD),
        new_old=np.array(new_old),
        new_new=np.array(new_new),
        independent_new_new=np.array(INDEPENDENT),
    )


@pytest.mark.parametrize("method", ROWS)
def test_published_upgrade_scores(method: str) -> None:
    self_test, cross_test, published = ROWS[method]  # P_up, P_comp, P_1
    found = scores_of(self_test, cross_test)
    percent = (100 * found.p_up, 100 * found.p_comp, 100 * found.p_1)
    assert percent[: len(published)] == pytest.approx(published, abs=0.01)


def test_the_fixed_points_of_the_upgrade_scores() -> None:
    found = scores_of(INDEPENDENT, OLD)
    assert found == UpgradeScores(0.5, 0.5, 0.5)
    assert scores_of(INDEPENDENT, INDEPENDENT).p_comp == pytest.approx(0.7311, abs=1e-4)


@pytest.mark.parametrize(
    ("independent", "new_new", "message"),
    [
        ([75.45, 70.0, 20.0], INDEPENDENT, "must be above the old one's"),
        ([0.0, 70.0, 20.0], INDEPENDENT, "above 0"),
        (INDEPENDENT, [1.0], "one value a test set"),
    ],
)
def test_upgrade_scores_are_checked(
    independent: list[float], new_new: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        upgrade_scores(
            old_old=np.array(OLD),
            new_old=np.array(OLD),
            new_new=np.array(new_new),
            independent_new_new=np.array(independent),
        )


MATRIX = np.array([[0.5, np.nan, np.nan], [0.55, 0.6, np.nan], [0.4, 0.64, 0.7]])


def test_backward_compatibility_is_of_the_newest_version() -> None:
    expected = ((0.4 - 0.5) + (0.64 - 0.6)) / 2
    assert backward_compatibility(MATRIX) == pytest.approx(expected)


def test_forward_compatibility_is_of_each_upgrade() -> None:
    expected = ((0.55 - 0.6) + (0.64 - 0.7)) / 2
    assert forward_compatibility(MATRIX) == pytest.approx(expected)


@pytest.mark.parametrize("summary", [backward_compatibility, forward_compatibility])
def test_summaries_take_zeros_and_leave_out_what_is_missing(summary: object) -> None:
    assert callable(summary)
    zero = np.array([[0.5, np.nan], [0.0, 0.25]])
    assert summary(zero) in (-0.5, -0.25)
    zero.flags.writeable = False
    summary(zero)
    with pytest.raises(ValueError, match="no pair"):
        summary(np.array([[0.5]]))
    with pytest.raises(ValueError, match=r"\(n_versions, n_versions\)"):
        summary(np.zeros((2, 3)))


def test_a_missing_cell_is_left_out() -> None:
    matrix: Float64Array = MATRIX.copy()
    matrix[2, 0] = matrix[1, 0] = np.nan
    assert backward_compatibility(matrix) == pytest.approx(0.04)
    assert forward_compatibility(matrix) == pytest.approx(-0.06)


def test_the_tax_is_what_the_twin_has_more() -> None:
    # BT² on ImageNet, ViT: 78.0 alone, 75.6 compatible (METHODS.md, section 4)
    assert compatibility_tax(75.6, 78.0) == pytest.approx(2.4)
    assert update_gain(44.4, 40.9, 67.9) == pytest.approx(3.5 / 27)
