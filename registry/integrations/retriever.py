"""A retriever in the manner of LangChain's and LlamaIndex's that makes sure who embeds its queries.

Neither library is imported. Providers change models behind an unchanged name, and then a search
still answers, wrongly. So the retriever embeds *canaries* again: texts whose vectors were kept when
the gallery was filled. Without canaries it can only compare the space of its latest queries with
the vectors that the gallery holds of the same version, which takes 128 queries and notices another
model, not a slightly changed one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

from ..arrays import Float32Array
from ..domain.galleries import IdType
from ..domain.refs import VersionRef
from ..domain.versions import ModelVersion
from ..errors import InvalidInputError, SpaceMismatchError
from ..galleries.space_check import MIN_VECTORS
from ..service import Registry
from ..vectors import Embeddings, check_no_zero_vectors, id_type
from .texts import MODEL_CHANGED, Embed, check_canaries, check_origin, embed_texts, take_canaries

__all__ = ["Checks", "Embed", "GalleryRetriever", "Retrieved", "take_canaries"]

D = TypeVar("D")
_WINDOW = 512  # latest queries that are kept, to look at the space of those since the last check


@dataclass(frozen=True, slots=True)
class Checks:
    """How a retriever makes sure that the right model embeds.

    Attributes:
        canaries: texts, as ids, with the vectors that they must give, or None; see `take_canaries`.
        every: after so many queries it is checked again.
        tolerance: how far a canary's vector may be from the kept one, in lengths of that one.

    Raises:
        InvalidInputError: if there are no canaries in it, one is no text or has no direction, or a
            number is out of range.
    """

    canaries: Embeddings | None = None
    every: int = 1000
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if self.every < 1 or not 0 < self.tolerance < 1:
            raise InvalidInputError(
                f"checks come after 1 query or more, with a tolerance between 0 and 1, "
                f"not after {self.every} with {self.tolerance}"
            )
        if self.canaries is not None:
            if len(self.canaries) == 0 or id_type(self.canaries.ids) is not IdType.STRING:
                raise InvalidInputError(
                    "canaries are embeddings of one text or more, with the texts as ids",
                    hint="take_canaries(embed, texts, version) makes them",
                )
            check_no_zero_vectors(self.canaries.vectors)


@dataclass(frozen=True, slots=True)
class Retrieved(Generic[D]):
    """A document that was found.

    Attributes:
        id: the item's id in the gallery.
        score: its similarity, larger is closer.
        version: which version made its vector.
        document: what `fetch` gave for it.
    """

    id: int | str
    score: float
    version: VersionRef
    document: D


class GalleryRetriever(Generic[D]):
    """Finds documents by text in a gallery, as long as the model is the one that it claims to be.

    Several threads may use it at once. What does not match is refused with SpaceMismatchError, and
    goes on being refused until it matches again: a promotion or rollback of the gallery to another
    version, vectors of other dimensions, canaries that come out otherwise, queries that plainly
    are of another space.

    Args:
        registry: an open registry.
        gallery: name of the gallery.
        embed: gives a vector for each of several texts, or has LangChain's `embed_query`.
        version: the version that `embed` is; it must be the gallery's query version.
        fetch: gives the documents of item ids, in their order.
        checks: how it is made sure who embeds.

    Raises:
        NotFoundError: if there is no such gallery or version.
        SpaceMismatchError: if the version is not in charge, the canaries are of another one, or
            they come out otherwise.
    """

    def __init__(
        self,
        registry: Registry,
        gallery: str,
        embed: Embed,
        *,
        version: str | VersionRef,
        fetch: Callable[[Sequence[int | str]], Sequence[D]],
        checks: Checks | None = None,
    ) -> None:
        self._registry = registry
        self._gallery = gallery
        self._embed = embed
        self._fetch = fetch
        self._checks = checks or Checks()
        self._version = registry.models.get(version)
        self._recent: deque[Float32Array] = deque(maxlen=_WINDOW)
        self._n_since = 0
        self._lock = Lock()
        _check_in_charge(registry, gallery, self._version)
        if self._checks.canaries is not None:
            check_origin(self._checks.canaries, self._version)
        self.check()

    @property
    def checked_by(self) -> tuple[str, ...]:
        """What can be noticed at present: ``canaries``, ``recent queries``, ``dimensions``."""
        stored = self._registry.galleries.get(self._gallery).versions()
        return (
            *(("canaries",) if self._checks.canaries is not None else ()),
            *(("recent queries",) if self._version.ref in stored else ()),
            "dimensions",
        )

    def retrieve(self, query: str, *, k: int = 4) -> list[Retrieved[D]]:
        """Return the k nearest items with their documents, best first.

        Raises:
            SpaceMismatchError: if the query's vector is not, or may not be, of the space that the
                gallery is queried in.
            InvalidInputError: if the gallery has fewer than k items, or `embed` or `fetch` does not
                give what it should.
        """
        asked = embed_texts(self._embed, [query], self._version)
        self._count(asked.vectors[0])
        hits = self._registry.search(self._gallery, asked, k)
        found = hits.scores[0] > -np.inf
        ids = hits.ids[0][found].tolist()
        documents = self._fetch(ids)
        if len(documents) != len(ids):
            raise InvalidInputError(
                f"fetch gave {len(documents)} documents for {len(ids)} ids",
                hint="give one for each id, in the order of the ids",
            )
        scores, numbers = hits.scores[0][found].tolist(), hits.versions[0][found].tolist()
        return [
            Retrieved(item, score, VersionRef(self._version.ref.model, number), document)
            for item, score, number, document in zip(ids, scores, numbers, documents, strict=True)
        ]

    def invoke(self, query: str, *, k: int = 4) -> list[D]:
        """Return the documents alone, as LangChain's retrievers do; otherwise as `retrieve`."""
        return [found.document for found in self.retrieve(query, k=k)]

    def check(self) -> None:
        """Make sure now that the right model embeds, as far as can be told.

        Raises:
            SpaceMismatchError: if it does not.
        """
        canaries = self._checks.canaries
        if canaries is not None:
            now = embed_texts(self._embed, canaries.ids.tolist(), self._version)
            check_canaries(canaries, now.vectors, self._checks.tolerance)
        with self._lock:
            recent = list(self._recent)[-max(self._n_since, MIN_VECTORS) :]
        if len(recent) >= MIN_VECTORS:
            self._check_space(np.stack(recent))
        with self._lock:
            self._n_since = 0

    def _count(self, vector: Float32Array) -> None:
        with self._lock:
            self._recent.append(vector)
            self._n_since += 1
            is_due = self._n_since >= self._checks.every
        if is_due:
            self.check()

    def _check_space(self, vectors: Float32Array) -> None:
        try:
            self._registry.galleries.check_space(
                self._gallery, Embeddings.numbered(vectors, self._version)
            )
        except SpaceMismatchError as error:
            raise SpaceMismatchError(f"the latest queries: {error}", hint=MODEL_CHANGED) from error


def _check_in_charge(registry: Registry, gallery: str, version: ModelVersion) -> None:
    expected = registry.galleries.state(gallery).query_version
    if version.fingerprint != expected.fingerprint:
        raise SpaceMismatchError(
            f"gallery {gallery!r} is queried by {expected.ref}, not by {version.ref}",
            hint=f"embed queries with {expected.ref}, or certify and promote {version.ref}",
        )
