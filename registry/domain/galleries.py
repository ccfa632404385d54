"""Galleries and their segments: facts about what is stored, never the vectors themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .refs import VersionRef


class Metric(StrEnum):
    """How similar two vectors are. Every score is a similarity: larger is closer.

    ``cosine`` is in [-1, 1]; ``inner-product`` is unbounded; ``l2`` is minus the squared
    Euclidean distance, so it is at most 0.
    """

    COSINE = "cosine"
    INNER_PRODUCT = "inner-product"
    L2 = "l2"


class SegmentState(StrEnum):
    """An open segment takes more items; a sealed one is indexed and never grows."""

    OPEN = "open"
    SEALED = "sealed"


class IdType(StrEnum):
    """Items of one gallery are all named by integers or all by strings."""

    INT64 = "int64"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that a committed row names: path relative to the storage, bytes and digest."""

    path: str
    digest: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Part:
    """One committed batch of a segment: an Arrow file of ids and vectors."""

    number: int
    file: StoredFile
    n_items: int


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a gallery that exactly one model version embedded.

    Attributes:
        number: its number within the gallery, from 1.
        version: which model version made its vectors.
        state: open or sealed.
        parts: its committed batches, in order; a row's position counts through all of them.
        index: the saved search index of a sealed segment, else None; an empty one needs none.
        n_deleted: how many of its rows are deleted.
        generation: how often its files were written as a whole, from 1: compaction and erasure
            write them anew, and positions count within one generation.
        n_dropped: rows that were stored in it once and are in none of its files any more.
    """

    number: int
    version: VersionRef
    state: SegmentState
    parts: tuple[Part, ...]
    index: StoredFile | None
    n_deleted: int = 0
    generation: int = 1
    n_dropped: int = 0

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Its parts' files, then its index's."""
        parts = tuple(part.file for part in self.parts)
        return parts if self.index is None else (*parts, self.index)

    @property
    def n_rows(self) -> int:
        """Rows stored, deleted ones included."""
        return sum(part.n_items for part in self.parts)

    @property
    def n_ever(self) -> int:
        """Rows that were ever stored: rewriting a segment changes nothing of that."""
        return self.n_rows + self.n_dropped

    @property
    def n_items(self) -> int:
        """Items that can be found: rows less deleted ones."""
        return self.n_rows - self.n_deleted


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """Which index back end serves a gallery's sealed segments, and how it is built.

    Attributes:
        backend: a name in the catalog of index back ends, such as ``faiss`` or ``exact``.
        factory: the back end's recipe; for FAISS its factory string, such as ``HNSW32,Flat``.
        options: search-time options of the back end, such as ``efSearch`` or ``nprobe``.
    """

    backend: str = "faiss"
    factory: str = "Flat"
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_exact(self) -> bool:
        """Whether it finds what an exact search finds."""
        return self.factory == "Flat" or self.backend == "exact"


@dataclass(frozen=True, slots=True)
class Gallery:
    """A named, growing collection of items that are searched together.

    Attributes:
        name: its name.
        model: the model line whose versions embed it.
        metric: the one metric of all of its segments.
        id_type: how its items are named; None until the first item comes.
        index: which index its sealed segments get.
        created_at: when it was made, in UTC.
        segments: what it holds at this moment.
    """

    name: str
    model: str
    metric: Metric
    id_type: IdType | None
    index: IndexSpec
    created_at: datetime
    segments: tuple[Segment, ...]

    @property
    def n_items(self) -> int:
        """Items that can be found."""
        return sum(segment.n_items for segment in self.segments)

    def versions(self) -> tuple[VersionRef, ...]:
        """Versions that have live items here, oldest first."""
        return tuple(sorted({s.version for s in self.segments if s.n_items > 0}))
