"""Leakage: queries that the candidate was trained on, by id and by near-duplicate vectors.

What a model was trained on it finds more easily than what it meets in service. A query counts as
found in the training data if an item there has its id, or a vector whose cosine with the query's
own, both by the candidate, reaches the policy's `near_duplicate`. The share of such queries is
judged as a control: if it is too large, nothing that was measured can be relied on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from registry.arrays import BoolArray, Float32Array, Float64Array, LabelArray
from registry.domain.canonical import Json, digest_json
from registry.domain.certificates import Control, Verdict
from registry.domain.conclusions import LEAKAGE, decide_leakage
from registry.domain.policies import Policy
from registry.errors import InvalidInputError, SpaceMismatchError
from registry.galleries.space_check import check_same_space
from registry.vectors import Embeddings, check_vectors

from .evaluation.nearest import nearest_cosines
from .matrix import ByMetric
from .probes import as_one_kind, digest_array

SAME_ID, COSINE, ROW = "same id", "nearest cosine", "nearest row"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingItems:
    """What a candidate was trained on, as far as it is at hand.

    Attributes:
        ids: ids of the items, in the names that the queries have, or None. Shape: (n,).
        vectors: the items as the candidate embeds them, in blocks, which may be mapped files.
            Shape of each: (any, dim).
        fingerprint: the space of those vectors; empty if there are none.
        classes: class labels that were trained on, in any order and number, or None.
        is_recorded: whether they are those that the candidate's training record names, or None
            if that cannot be told.

    Raises:
        InvalidInputError: if a vector is not finite float32, or there are fewer or more ids.
        DimensionMismatchError: if the blocks differ in their dim.
    """

    ids: LabelArray | None = None
    vectors: Sequence[Float32Array] = ()
    fingerprint: str = ""
    classes: LabelArray | None = None
    is_recorded: bool | None = None

    def __post_init__(self) -> None:
        for block in self.vectors:
            check_vectors(block, self.vectors[0].shape[-1])
        if self.ids is not None and self.vectors and len(self.ids) != self.n_items:
            raise InvalidInputError(
                f"there are {self.n_items} training vectors but {len(self.ids)} training ids",
                hint="ids and vectors must belong together row by row",
            )

    @property
    def is_searchable(self) -> bool:
        """Whether ids or vectors were given, not at most classes."""
        return self.ids is not None or bool(self.vectors)

    @property
    def n_items(self) -> int:
        """How many items there are to be looked through."""
        if self.vectors:
            return sum(len(block) for block in self.vectors)
        return 0 if self.ids is None else len(self.ids)

    @property
    def named(self) -> dict[str, Json]:
        """What a certificate says of them: how many there are, and a digest of ids and vectors."""
        vectors: list[Json] = [digest_array(block) for block in self.vectors]
        ids = None if self.ids is None else digest_array(self.ids)
        return {"n_items": self.n_items, "digest": digest_json({"ids": ids, "vectors": vectors})}


def look_for(queries: Embeddings, ids: LabelArray, training: TrainingItems) -> ByMetric:
    """Look for each query in the training data; what is found goes into the evidence.

    Args:
        queries: embedded by the candidate.
        ids: their ids. Shape: (n_queries,).
        training: with ids, vectors or both.

    Returns:
        Shape of each: (n_queries,). ``same id``: 1 if a training item has the query's id, else 0;
        ``nearest cosine``: with the nearest training vector; ``nearest row``: which one that is,
        counted from 0.

    Raises:
        SpaceMismatchError: if the training vectors are of another space than the queries.
        InvalidInputError: if there is nothing to look through.
    """
    if not training.n_items:
        raise InvalidInputError("the training data hold no item", hint="give ids or vectors")
    found: dict[str, Float64Array] = {}
    if training.ids is not None:
        found[SAME_ID] = _is_among(ids, training.ids).astype(np.float64)
    if training.vectors:
        _check_space(queries, training)
        cosines, rows = nearest_cosines(queries.vectors, training.vectors)
        found |= {COSINE: cosines, ROW: rows.astype(np.float64)}
    return found


def _is_among(ids: LabelArray, training: LabelArray) -> BoolArray:
    asked, held = (names.tolist() for names in as_one_kind(ids, training))
    both = set(asked).intersection(held)
    return np.fromiter((query in both for query in asked), np.bool_, len(asked))


def _check_space(queries: Embeddings, training: TrainingItems) -> None:
    version = queries.version
    check_vectors(training.vectors[0][:1], version.dim)
    if training.fingerprint != version.fingerprint:
        raise SpaceMismatchError(
            f"the training vectors carry the fingerprint {training.fingerprint[:19]}…, "
            f"but {version.ref} has {version.fingerprint[:19]}…",
            hint=f"embed the training data with {version.ref}",
        )


def check_look(queries: Embeddings, vectors: Float32Array) -> None:
    """Refuse training vectors that plainly are not the candidate's: no query would be near one.

    Args:
        queries: embedded by the candidate.
        vectors: training vectors whose file does not say who made them. Shape: (n, dim).

    Raises:
        SpaceMismatchError: if they are of another space; few vectors pass.
    """
    evidence = check_same_space(vectors, queries.vectors)
    if evidence.is_other_space:
        raise SpaceMismatchError(
            f"the training vectors do not look like {queries.version.ref}'s own of the queries: "
            f"alignment {evidence.alignment:.2f}, about 1 expected",
            hint=f"embed the training data with {queries.version.ref}; if you did, --trust-space",
        )


def is_leaked(found: ByMetric, near_duplicate: float) -> BoolArray:
    """Return which queries count as found in the training data. Shape: (n_queries,).

    Args:
        found: what `look_for` returned, or what the evidence has of it.
        near_duplicate: from which cosine on a vector counts as the query's own.

    Raises:
        ValueError: if nothing was looked for, or a number is impossible.
    """
    looked = {name: found[name] for name in (SAME_ID, COSINE) if name in found}
    if not looked:
        raise ValueError(f"leakage was judged neither by {SAME_ID!r} nor by {COSINE!r}")
    if any(not (np.abs(values) <= 1).all() for values in looked.values()):  # NaN is not, either
        raise ValueError("what was found in the training data must be in [-1, 1]")
    limits = {SAME_ID: 1.0, COSINE: near_duplicate}
    leaked = np.zeros(len(next(iter(looked.values()))), dtype=np.bool_)
    for name, values in looked.items():
        leaked |= values >= limits[name]
    return leaked


def judge_leakage(found: ByMetric, policy: Policy) -> Control:
    """Judge what `look_for` found: a share beyond the policy's makes the verdict INCONCLUSIVE.

    Raises:
        ValueError: as `is_leaked`.
    """
    share = float(is_leaked(found, policy.near_duplicate).mean())
    verdict = decide_leakage(share, policy.max_leaked)
    return Control(LEAKAGE, Verdict.COMPATIBLE, verdict, share)
