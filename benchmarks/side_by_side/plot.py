"""New -> old against new -> new: both are to be high at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw(summary: Mapping[str, Any], path: Path, *, metric: str = "mAP") -> None:
    """Draw one picture for each test set, every method a point with its intervals."""
    tests = list(next(iter(summary.values())))
    figure = Figure(figsize=(5.5 * len(tests), 4.5), layout="constrained")
    for axes, test in zip(figure.subplots(1, len(tests), squeeze=False)[0], tests, strict=True):
        for method, found in summary.items():
            across, within = (found[test][cell][metric] for cell in ("new -> old", "new -> new"))
            axes.errorbar(
                across["mean"],
                within["mean"],
                xerr=across.get("plus_minus"),
                yerr=within.get("plus_minus"),
                fmt="o",
                label=method,
            )
        old = summary["independent"][test]["old -> old"][metric]["mean"]
        axes.axvline(old, linestyle=":", color="grey", label="old -> old")
        axes.set(title=test, xlabel=f"new -> old, {metric} (%)", ylabel=f"new -> new, {metric} (%)")
    figure.axes[-1].legend(fontsize="small")
    figure.savefig(path, dpi=110)
