"""From rows of results to means over seeds with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t

from compat.evaluation.summaries import UpgradeScores, upgrade_scores

Cells = Mapping[str, Mapping[str, float]]


def line(row: Mapping[str, Any]) -> str:
    """Return a row in short."""
    cells = " | ".join(
        f"{name}: "
        + ", ".join(f"{c} {values['top1']:.2f}/{values['mAP']:.2f}" for c, values in found.items())
        for name, found in row["cells"].items()
    )
    return f"seed {row['seed']} {row['method']} ({row['seconds']:.0f} s) {cells}"


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return, by method, test set, cell and metric, the mean over seeds and its 95 % interval.

    The tax is what new -> new loses to the independent model of the same seed; P_comp, P_up and P_1
    are of the mean average precisions, and left out if in some seed the independent model is no
    better than the old one, for which they have no value.
    """
    methods = dict.fromkeys(row["method"] for row in rows)
    twins = {row["seed"]: row["cells"] for row in rows if row["method"] == "independent"}
    return {
        method: {
            test: _summary([(row["cells"][test], twins[row["seed"]][test]) for row in of])
            for test in of[0]["cells"]
        }
        for method in methods
        for of in [[row for row in rows if row["method"] == method]]
    }


def _summary(pairs: Sequence[tuple[Cells, Cells]]) -> dict[str, Any]:
    """Return the intervals of one method on one test set; each pair is a seed's: own and twin."""
    cells, metrics = pairs[0][0], pairs[0][0]["new -> new"]
    found: dict[str, Any] = {
        cell: {m: interval([own[cell][m] for own, _ in pairs]) for m in metrics} for cell in cells
    }
    found["gain over old -> old"] = {
        m: interval([own["new -> old"][m] - own["old -> old"][m] for own, _ in pairs])
        for m in metrics
    }
    found["tax"] = {
        m: interval([twin["new -> new"][m] - own["new -> new"][m] for own, twin in pairs])
        for m in metrics
    }
    if all(twin["new -> new"]["mAP"] > own["old -> old"]["mAP"] for own, twin in pairs):
        scores = [_scores(own, twin) for own, twin in pairs]
        found["AdvBCT scores"] = {
            name: interval([100 * getattr(of_seed, name) for of_seed in scores])
            for name in ("p_up", "p_comp", "p_1")
        }
    return found


def _scores(own: Cells, twin: Cells) -> UpgradeScores:
    return upgrade_scores(
        old_old=np.array([own["old -> old"]["mAP"]]),
        new_old=np.array([own["new -> old"]["mAP"]]),
        new_new=np.array([own["new -> new"]["mAP"]]),
        independent_new_new=np.array([twin["new -> new"]["mAP"]]),
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """Return a table for each test set: top-1, top-5, mAP, and half their intervals' widths."""
    lines: list[str] = []
    for test in next(iter(summary.values())):
        columns = ("old -> old", "new -> old", "new -> new", "gain over old -> old", "tax")
        lines += [
            "",
            f"{test}: top-1, top-5, mAP, percent",
            "",
            f"| | {' | '.join(columns)} | P_1 |",
        ]
        lines += ["|---" * (len(columns) + 2) + "|"]
        for method, tests in summary.items():
            cells = [_all_of(tests[test][column]) for column in columns]
            scores = tests[test].get("AdvBCT scores")
            p_1 = f"{scores['p_1']['mean']:.1f}" if scores else "-"
            lines += [f"| {method} | {' | '.join(cells)} | {p_1} |"]
    return "\n".join(lines)


def _all_of(metrics: Mapping[str, Mapping[str, float]]) -> str:
    found = (metrics[name] for name in ("top1", "top5", "mAP"))
    return ", ".join(f"{m['mean']:.1f} ± {m.get('plus_minus', np.nan):.1f}" for m in found)


def interval(values: Sequence[float]) -> dict[str, float]:
    """Return the mean and half the width of Student's interval."""
    found = {"mean": float(np.mean(values))}
    if len(values) > 1:
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        found["plus_minus"] = float(t.ppf(0.975, len(values) - 1) * error)
    return found
