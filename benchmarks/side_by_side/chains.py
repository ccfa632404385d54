"""What a chain of models is measured by: all queries on all earlier galleries, and summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.side_by_side.data import Images
from benchmarks.side_by_side.measure import cell, embed, in_common
from benchmarks.side_by_side.table import interval
from compat.encoders import Encoder
from compat.evaluation.compatibility import average_compatibility, average_multi_model_accuracy
from compat.evaluation.summaries import backward_compatibility, forward_compatibility
from registry.arrays import Float32Array, Float64Array

SUMMARIES = {
    "AC": average_compatibility,
    "AA": average_multi_model_accuracy,
    "BC": backward_compatibility,
    "FC": forward_compatibility,
}
TWIN = "independent"  # whose models the tax is reckoned against, where a protocol has it
Row = Mapping[str, Any]


def matrices(models: Sequence[Encoder], images: Images) -> dict[str, list[list[float]]]:
    """Return C by metric; zero above the diagonal, where nothing is measured.

    Queries meet a gallery, and its classes' means, in the dimensions that both have.
    """
    asked, held = (Images(images.pixels[start::2], images.labels[start::2]) for start in (0, 1))
    labels, of_gallery = asked.labels.numpy(), held.labels.numpy()
    queries = [embed(model, asked) for model in models]
    galleries = [embed(model, held) for model in models]
    found = {name: np.zeros((len(models), len(models))) for name in ("templates", "mAP")}
    for t, k in zip(*np.tril_indices(len(models)), strict=True):
        asking, templates = in_common(queries[t], class_means(galleries[k], held))
        nearest = (asking @ templates.T).argmax(axis=1)
        found["templates"][t, k] = 100 * float(np.mean(nearest == labels))
        found["mAP"][t, k] = cell(queries[t], galleries[k], labels, of_gallery)["mAP"]
    return {name: matrix.tolist() for name, matrix in found.items()}


def class_means(vectors: Float32Array, images: Images) -> Float32Array:
    """Return the normalised mean vector of each class."""
    labels = images.labels.numpy()
    means = np.stack([vectors[labels == c].mean(axis=0) for c in range(int(labels.max()) + 1)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def summary_of(row: Row, twin: Row | None = None) -> dict[str, dict[str, float]]:
    """Return AC, AA, BC and FC of each metric and, if there is a twin, the tax.

    The tax is the mean over models of what new -> new loses to the independent model.
    """
    arrays: dict[str, Float64Array] = {name: np.array(c) for name, c in row["C"].items()}
    found = {
        name: {short: value(matrix) for short, value in SUMMARIES.items()}
        for name, matrix in arrays.items()
    }
    if twin is not None:
        for name, matrix in arrays.items():
            lost = np.diag(np.array(twin["C"][name])) - np.diag(matrix)
            found[name]["tax"] = float(lost.mean())
    return found


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Return means over seeds with their 95 % intervals, by method, metric and summary.

    Beside the summaries of each metric stands C, the mean over seeds.
    """
    twins = {row["seed"]: row for row in rows if row["method"] == TWIN}
    by_method: dict[str, list[Row]] = {}
    for row in rows:
        by_method.setdefault(row["method"], []).append(row)
    return {method: _summary(of, twins) for method, of in by_method.items()}


def _summary(rows: Sequence[Row], twins: Mapping[int, Row]) -> dict[str, Any]:
    of_seeds = [summary_of(row, twins.get(row["seed"])) for row in rows]
    return {
        metric: {
            **{short: interval([of[metric][short] for of in of_seeds]) for short in summaries},
            "C": np.mean([row["C"][metric] for row in rows], axis=0).tolist(),
        }
        for metric, summaries in of_seeds[0].items()
    }


def markdown(summary: Mapping[str, Any]) -> str:
    """Return a table of the summaries."""
    heads = [
        (metric, short)
        for metric, of in next(iter(summary.values())).items()
        for short in of
        if short != "C"
    ]
    names = " | ".join(f"{metric}: {short}" for metric, short in heads)
    lines = [f"| | {names} |", "|---" * (len(heads) + 1) + "|"]
    for method, of in summary.items():
        found = [of[metric][short] for metric, short in heads]
        cells = [f"{f['mean']:.2f} ± {f.get('plus_minus', np.nan):.2f}" for f in found]
        lines += [f"| {method} | {' | '.join(cells)} |"]
    return "\n".join(lines)


def matrix_markdown(summary: Mapping[str, Any], metric: str) -> str:
    """Return a table of C, a row for each method and query model, a column for each gallery."""
    n_models = len(next(iter(summary.values()))[metric]["C"])
    heads = " | ".join(f"gallery {k}" for k in range(n_models))
    lines = [f"| {metric} | {heads} |", "|---" * (n_models + 1) + "|"]
    for method, of in summary.items():
        for t, row in enumerate(of[metric]["C"]):
            cells = [f"{value:.1f}" for value in row[: t + 1]] + [""] * (n_models - t - 1)
            lines += [f"| {method}, queries {t} | {' | '.join(cells)} |"]
    return "\n".join(lines)
