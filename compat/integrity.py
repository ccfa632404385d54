"""Integrity before statistics: what is wrong with a probe whatever its numbers say.

NaN and infinite values, repeated ids and another dimension are refused earlier, by `Embeddings`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from registry.arrays import Float32Array
from registry.errors import InvalidInputError, SpaceMismatchError
from registry.galleries.geometry import row_norms
from registry.vectors import Embeddings

_UNIT = 0.01  # how far from 1 a unit norm may be: float16 and quantised vectors come near


def check_probe_vectors(queries: Embeddings) -> None:
    """Refuse vectors that are not what their version says it makes.

    Raises:
        InvalidInputError: if one is all zero, which has no direction.
        SpaceMismatchError: if the version's space is normalised and a norm is not 1.
    """
    ref = queries.version.ref
    norms = row_norms(queries.vectors)
    if not norms.all():
        rows = np.flatnonzero(norms == 0)
        raise InvalidInputError(
            f"{len(rows)} of {len(norms)} queries are all zero as {ref} embedded them, "
            f"first in row {rows[0]}",
            hint="an empty or broken input usually does that: drop those queries, or embed again",
        )
    if queries.version.description.normalised and (abs(norms - 1) > _UNIT).any():
        raise SpaceMismatchError(
            f"the space of {ref} is said to be normalised, but its queries have norms from "
            f"{norms.min():.3g} to {norms.max():.3g}, not 1",
            hint="embed them with the registered model, or register a version that says the truth",
        )


def n_duplicates(vectors: Float32Array) -> int:
    """Return how many vectors are, to the last bit, the same as another one of them.

    Args:
        vectors: contiguous float32. Shape: (n, dim).
    """
    rows = vectors.view(np.dtype((np.void, vectors.itemsize * vectors.shape[1]))).ravel()
    _, counts = np.unique(rows, return_counts=True)
    return int(counts[counts > 1].sum())


def describe_probe(queries: Iterable[Embeddings], n_items_among: int) -> tuple[str, ...]:
    """Return in sentences what a reader of a certificate should know of its queries.

    Args:
        queries: the same queries, embedded by each version.
        n_items_among: how many of them are items of the gallery under the same id.
    """
    found = []
    for one in queries:
        n_same, n = n_duplicates(one.vectors), len(one)
        if n_same:
            found.append(
                f"{n_same} of {n} queries ({n_same / n:.1%}) have the very vector of another "
                f"one by {one.version.ref}: they are not independent, "
                "or the model cannot tell them apart."
            )
    if n_items_among:
        found.append(
            f"{n_items_among} queries are items of the gallery under the same id: each was left "
            "out of its own ranking."
        )
    return tuple(found)
