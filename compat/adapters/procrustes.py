"""Orthogonal Procrustes: the isometry that brings a new model's vectors nearest to an old one's."""

from __future__ import annotations

import numpy as np

from registry.arrays import Float32Array, Float64Array


def fit_procrustes(new: Float32Array, old: Float32Array) -> Float64Array:
    """Return the map W, with orthonormal columns or rows, that minimises ‖new W - old‖.

    W = U Vᵀ from the singular value decomposition newᵀ old = U Σ Vᵀ [1]. Both sides are normalised
    first and not centred. Where the new model has more dimensions, W is the first old_dim columns
    of the square map onto old vectors padded by zeros [2]; where it has fewer, W keeps its
    distances. It costs no training: two models that exist, and some items embedded by both.

    Args:
        new: vectors of the new model. Shape: (n, new_dim)
        old: vectors of the old model of the same items, in the same order. Shape: (n, old_dim)

    Returns:
        Shape: (new_dim, old_dim)

    Raises:
        ValueError: if the rows do not pair up, there are none, or a value is NaN or infinite.

    References:
        [1] Schönemann, "A generalized solution of the orthogonal Procrustes problem",
            Psychometrika 1966.
        [2] github.com/miccunifi/SLERP_backward_compatibility: padding when the dimension grows, as
            reported of it; its code was not read.
    """
    if new.ndim != 2 or old.ndim != 2 or len(new) != len(old) or len(new) == 0:
        raise ValueError(
            f"new and old vectors must be 2-d with a row for each item but have shapes "
            f"{new.shape} and {old.shape}"
        )
    if not (np.isfinite(new).all() and np.isfinite(old).all()):
        raise ValueError("vectors must be finite but some hold NaN or infinity")
    left, _, right = np.linalg.svd(_units(new).T @ _units(old), full_matrices=False)
    return np.asarray(left @ right, dtype=np.float64)


def fit_rotation(new: Float32Array, old: Float32Array) -> Float64Array:
    """Return the square orthogonal map whose first columns are those of `fit_procrustes`.

    Applied to all vectors of the new model it changes no cosine between them, and brings their
    first old_dim dimensions nearest to the old model's. The other columns complete the basis.

    Args:
        new: vectors of the new model. Shape: (n, new_dim)
        old: vectors of the old model of the same items, in the same order, with at most as many
            dimensions. Shape: (n, old_dim)

    Returns:
        Shape: (new_dim, new_dim)

    Raises:
        ValueError: as `fit_procrustes`, or if the old model has more dimensions.
    """
    first = fit_procrustes(new, old)
    new_dim, old_dim = first.shape
    if old_dim > new_dim:
        raise ValueError(f"{new_dim} dimensions cannot be turned to meet {old_dim}")
    basis, _, _ = np.linalg.svd(first, full_matrices=True)
    return np.concatenate([first, basis[:, old_dim:]], axis=1)


def map_queries(queries: Float32Array, linear_map: Float64Array) -> Float32Array:
    """Return queries of the new model in the old model's space, of unit length.

    Args:
        queries: vectors of the new model. Shape: (n, new_dim)
        linear_map: from `fit_procrustes`. Shape: (new_dim, old_dim)

    Returns:
        Shape: (n, old_dim)

    Raises:
        ValueError: if the dimensions differ, as when a map is applied in the wrong direction.
    """
    if queries.ndim != 2 or queries.shape[1] != len(linear_map):
        raise ValueError(
            f"the map takes vectors of {len(linear_map)} dimensions but got shape {queries.shape}; "
            "it maps queries of the new model into the old model's space"
        )
    return _units(_units(queries) @ linear_map).astype(np.float32)


def _units(vectors: Float32Array | Float64Array) -> Float64Array:
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(norms, 1e-12), dtype=np.float64)
