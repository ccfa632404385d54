"""Texts embedded by whatever users have, and canaries: texts whose vectors must not change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Float32Array
from ..domain.versions import ModelVersion
from ..errors import InvalidInputError, SpaceMismatchError, in_one_line
from ..galleries.geometry import row_norms
from ..vectors import Embeddings

MODEL_CHANGED = (
    "the provider, a library or a setting changed the model: pin what it was, or register what it "
    "is now as a version of its own, certify and promote it"
)


@runtime_checkable
class QueryEmbedder(Protocol):
    """What LangChain calls `Embeddings`, as far as queries go."""

    def embed_query(self, text: str) -> ArrayLike:
        """Return the vector of a query. Shape: (dim,)."""
        ...


Embed = QueryEmbedder | Callable[[Sequence[str]], Iterable[ArrayLike]]


def embed_texts(embed: Embed, texts: Sequence[str], version: ModelVersion) -> Embeddings:
    """Return the vectors of texts as embeddings of a version, by whichever way there is.

    Raises:
        InvalidInputError: if there is no vector for each text, or one is not finite.
        DimensionMismatchError: if the vectors have other dimensions than the version.
    """
    given: Iterable[ArrayLike]
    if isinstance(embed, QueryEmbedder):
        given = [embed.embed_query(text) for text in texts]
    else:
        given = embed(texts)
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            vectors = np.stack([np.asarray(row, np.float32) for row in given])
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"embed gave no vectors: {in_one_line(error)}") from error
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise InvalidInputError(
            f"embed gave an array of shape {vectors.shape} for {len(texts)} texts",
            hint="give one vector a text: shape (n_texts, dim)",
        )
    return Embeddings.numbered(vectors, version)


def take_canaries(embed: Embed, texts: Sequence[str], version: ModelVersion) -> Embeddings:
    """Return texts with the vectors that they give now, to be kept while the gallery lives.

    Args:
        embed: what embeds queries, as the retriever takes it.
        texts: a few distinct ones, of the kind and the lengths that will be asked.
        version: the version that this is.

    Raises:
        InvalidInputError: if there is no text, one is given twice, or `embed` gives no vectors.
        DimensionMismatchError: if the vectors have other dimensions than the version.
    """
    if not texts:
        raise InvalidInputError("there are no texts to take as canaries", hint="some ten will do")
    ids = np.array(list(texts), dtype=object)
    return Embeddings(ids, embed_texts(embed, texts, version).vectors, version)


def check_origin(canaries: Embeddings, version: ModelVersion) -> None:
    """Refuse canaries of another version.

    Raises:
        SpaceMismatchError: if they are.
    """
    if canaries.version.fingerprint != version.fingerprint:
        raise SpaceMismatchError(
            f"the canaries were taken of {canaries.version.ref}, not of {version.ref}",
            hint="each version has canaries of its own",
        )


def check_canaries(canaries: Embeddings, now: Float32Array, tolerance: float) -> None:
    """Refuse vectors of canaries that are too far from the kept ones, in lengths of those.

    Raises:
        SpaceMismatchError: naming the canary that is furthest off.
    """
    deviations = row_norms(now - canaries.vectors) / row_norms(canaries.vectors)
    worst = int(np.argmax(deviations))
    if not deviations[worst] <= tolerance:
        text = str(canaries.ids[worst])
        shown = text if len(text) <= 40 else text[:39] + "…"
        raise SpaceMismatchError(
            f"what embeds is not {canaries.version.ref} any more: canary {shown!r} is off by "
            f"{deviations[worst]:.2g} of its length, more than {tolerance:.2g}",
            hint=MODEL_CHANGED,
        )
