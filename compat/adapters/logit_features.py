"""Hyperspherical simplex features: what a classifier says of an item, as its vector."""

from __future__ import annotations

from typing import Literal

import numpy as np

from registry.arrays import Float32Array, Float64Array


def logit_features(
    logits: Float32Array,
    *,
    n_shared: int | None = None,
    kind: Literal["logits", "probabilities"] = "logits",
    temperature: float = 1.0,
) -> Float32Array:
    """Return unit vectors with one dimension a class, from the logits of a classifier.

    Classifiers that were trained apart on the same classes agree on what the axes mean, so such
    vectors can be compared with no compatible training at all [1]. The mean over classes is taken
    out first: it moves all logits alike, which a softmax does not see, and the vectors of all
    classes then lie around a simplex. Both models are reduced to the classes that they share.

    It is a baseline with a price: the old gallery must hold such vectors, not the embedding.

    Args:
        logits: of all classes, those that are shared first. Shape: (n, n_classes)
        n_shared: number of classes that both models know, at least 2; None for all.
        kind: the logits themselves, or the softmax over the shared classes.
        temperature: by which logits are divided before a softmax, above 0.

    Returns:
        Shape: (n, n_shared)

    Raises:
        ValueError: if a setting is out of range or a logit is NaN or infinite.

    References:
        [1] "Hyperspherical simplex representations from softmax outputs and logits are inherently
            backward-compatible", OpenReview 0eeXx7QZO7: the idea, from its abstract; the centring
            is ours.
    """
    n_classes = logits.shape[-1]
    kept = n_classes if n_shared is None else n_shared
    if logits.ndim != 2 or not 2 <= kept <= n_classes:
        raise ValueError(
            f"n_shared must be in [2, n_classes] but got {kept} for logits of shape {logits.shape}"
        )
    if kind not in ("logits", "probabilities") or not temperature > 0:
        raise ValueError(
            f"kind must be 'logits' or 'probabilities', and temperature above 0, but got {kind!r} "
            f"and {temperature}"
        )
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite but some are NaN or infinite")
    shared = logits[:, :kept].astype(np.float64)
    values = shared if kind == "logits" else _softmax(shared / temperature)
    centred = values - values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(norms, 1e-12), dtype=np.float32)


def _softmax(logits: Float64Array) -> Float64Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)
