"""The three cells of an upgrade, on classes that were trained and on an open set."""

from __future__ import annotations

import numpy as np

from benchmarks.side_by_side.data import Images
from compat.adapters import logit_features
from compat.classifiers import Classifier
from compat.embedding import embed_array
from compat.encoders import Encoder
from compat.evaluation import Relevance, score_rankings
from registry.arrays import Float32Array, Int64Array

Cell = dict[str, float]
METRICS = {"top1": "hit@1", "top5": "hit@5", "mAP": "mAP"}


def embed(encoder: Encoder, images: Images) -> Float32Array:
    """Return unit vectors of all images."""
    return _units(embed_array(encoder, images.pixels, device="auto"))


def cell(
    queries: Float32Array, gallery: Float32Array, asked: Int64Array, held: Int64Array | None = None
) -> Cell:
    """Rank the gallery for every query, in the dimensions that both have.

    Args:
        queries: Shape: (n_queries, dim).
        gallery: Shape: (n_gallery, dim).
        asked: labels of the queries.
        held: labels of the gallery; None if its items are the queries, and each leaves itself out.
    """
    found = score_rankings(
        *in_common(queries, gallery),
        Relevance.from_labels(asked, asked if held is None else held),
        ks=(1, 5),
        excluded=np.arange(len(asked)) if held is None else None,
    )
    return {name: 100 * float(found.metric(metric).mean()) for name, metric in METRICS.items()}


def in_common(queries: Float32Array, gallery: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return both cut to the dimensions that both have, each vector normalised again."""
    dims = min(queries.shape[1], gallery.shape[1])
    return _units(queries[:, :dims]), _units(gallery[:, :dims])


def class_vectors(vectors: Float32Array, classifier: Classifier, *, n_shared: int) -> Float32Array:
    """Return hyperspherical simplex features: what a model's classifier says of each item."""
    logits = vectors @ classifier.weights.numpy().T + classifier.biases.numpy()
    return logit_features(logits, n_shared=n_shared)


def upgrade(old: Float32Array, new: Float32Array, images: Images) -> dict[str, Cell]:
    """Return old -> old, new -> old and new -> new; the images are gallery and queries at once."""
    labels = images.labels.numpy()
    return {
        "old -> old": cell(old, old, labels),
        "new -> old": cell(new, old, labels),
        "new -> new": cell(new, new, labels),
    }


def _units(vectors: Float32Array) -> Float32Array:
    units: Float32Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(units, dtype=np.float32)
