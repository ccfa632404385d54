"""Probe sets: labelled queries, embedded by every version that is compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from registry.arrays import BoolArray, Int64Array, LabelArray
from registry.domain.canonical import digest_json
from registry.domain.conclusions import SEEN, UNSEEN
from registry.domain.probe_sets import ProbeSet
from registry.domain.refs import VersionRef
from registry.errors import InvalidInputError
from registry.vectors import Embeddings

from .evaluation.qrels import Qrels

ALL = "all"


@dataclass(frozen=True, slots=True)
class Labels:
    """What items show: equal labels mean relevant to each other.

    Attributes:
        ids: item ids, integers or strings. Shape: (n,).
        labels: class or identity of each item, integers or strings. Shape: (n,).
        groups: slice of each item, reported apart, or None. Shape: (n,).
        qrels: of queries: judgements that say which items are relevant, instead of the labels.
        seen: of queries: whether the candidate was trained on the class of each, or None if that is
            not known; certification finds it out. Shape: (n,).

    Raises:
        InvalidInputError: if they differ in length, or are neither integers nor strings, or a group
            has a name that is kept for what `seen` tells apart.
    """

    ids: LabelArray
    labels: LabelArray
    groups: LabelArray | None = None
    qrels: Qrels | None = None
    seen: BoolArray | None = None

    @classmethod
    def judged(cls, ids: LabelArray, qrels: Qrels, groups: LabelArray | None = None) -> Labels:
        """Return queries that judgements speak of: each is a class, so a unit, of its own."""
        return cls(ids, ids, groups, qrels)

    def __post_init__(self) -> None:
        sizes = {len(self.ids), len(self.labels)}
        sizes |= {len(given) for given in (self.groups, self.seen) if given is not None}
        if len(sizes) != 1:
            raise InvalidInputError(f"ids, labels and groups differ in length: {sorted(sizes)}")
        if self.groups is not None:
            _check_names(self.groups)
        object.__setattr__(self, "ids", _plain("ids", self.ids))
        object.__setattr__(self, "labels", _plain("labels", self.labels))

    @property
    def by_group(self) -> dict[str, Int64Array]:
        """Rows of each group; if none are given, seen and unseen classes, or one group ``all``."""
        if self.groups is None:
            return self.by_seen or {ALL: np.arange(len(self.ids))}
        names = self.groups.astype(str)
        return {str(name): np.flatnonzero(names == name) for name in np.unique(names)}

    @property
    def by_seen(self) -> dict[str, Int64Array]:
        """Rows of seen and of unseen classes; empty unless there are both."""
        if self.seen is None or self.seen.all() or not self.seen.any():
            return {}
        return {SEEN: np.flatnonzero(self.seen), UNSEEN: np.flatnonzero(~self.seen)}

    @property
    def reported(self) -> dict[str, Int64Array]:
        """Rows of all that is reported apart: ``all``, each group, seen and unseen classes.

        Seen or unseen classes that are a declared group stand under its name only.
        """
        same = self.declared_as
        others = {name: rows for name, rows in self.by_seen.items() if name not in same}
        return {ALL: np.arange(len(self.ids))} | self.by_group | others

    @property
    def declared_as(self) -> dict[str, str]:
        """The declared group that seen, or unseen, classes are, where there is one."""
        if self.groups is None:
            return {}
        return {
            name: group
            for name, rows in self.by_seen.items()
            for group, declared in self.by_group.items()
            if np.array_equal(rows, declared)
        }


def _check_names(groups: LabelArray) -> None:
    names = set(groups.astype(str).tolist())
    if ALL in names:
        raise InvalidInputError(
            f"a group of queries is named {ALL!r}, which is every query",
            hint="name the group otherwise",
        )
    kept = sorted({SEEN, UNSEEN} & names)
    if kept:
        raise InvalidInputError(
            f"a group of queries is named {kept[0]!r}, as what training data tell apart",
            hint="name the group otherwise; or declare none, and say which classes were trained on",
        )


def _plain(what: str, array: LabelArray) -> LabelArray:
    """Return int64 or fixed-width strings, whichever file the names came from."""
    fits = array.dtype != np.uint64 or not (array > np.uint64(np.iinfo(np.int64).max)).any()
    if array.ndim == 1 and array.dtype.kind in "iu" and fits:
        return array.astype(np.int64, copy=False)
    is_text = array.dtype.kind == "U" or (
        array.dtype == object and all(isinstance(value, str) for value in array.tolist())
    )
    if array.ndim != 1 or not is_text:
        raise InvalidInputError(
            f"{what} must be one row of integers or strings, "
            f"but are {array.dtype} of shape {array.shape}"
        )
    return array.astype(str)


def numbered(n: int) -> LabelArray:
    """Return names of rows that nobody named: they must not be taken for the items of that number.

    Shape: (n,).
    """
    return np.array([f"query {i}" for i in range(n)])


def as_one_kind(a: LabelArray, b: LabelArray) -> tuple[LabelArray, LabelArray]:
    """Return two rows of names so that they compare: as text, if only one holds numbers.

    A CSV file tells 17 from "17" by guessing, a text file never does; both mean one thing.
    """
    if (a.dtype.kind in "iu") == (b.dtype.kind in "iu"):
        return a, b
    return a.astype(str), b.astype(str)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a certification is measured on.

    Attributes:
        queries: labelled queries.
        query_vectors: those queries, in the same order, embedded by each version.
        gallery_labels: labels of the gallery's items, by id, in any order; None if the queries
            carry judgements.
        reembedded: gallery items embedded by the candidate, if the raw data are at hand; with
            them the new self-test and the way back are measured too.
        probe_set: the registered set that queries, labels and judgements are those of, if any.
    """

    queries: Labels
    query_vectors: Mapping[VersionRef, Embeddings]
    gallery_labels: Labels | None
    reembedded: Embeddings | None = None
    probe_set: ProbeSet | None = None

    def __post_init__(self) -> None:
        if (self.gallery_labels is None) != (self.queries.qrels is not None):
            raise InvalidInputError(
                "a probe has either labels of the gallery's items or judgements of its queries",
                hint="give the one of them that says which items are relevant",
            )
        for ref, embeddings in self.query_vectors.items():
            if len(embeddings) != len(self.queries.ids):
                raise InvalidInputError(
                    f"{ref} embedded {len(embeddings)} queries, but {len(self.queries.ids)} "
                    "are labelled",
                    hint="rows of vectors and of labels must belong together",
                )
        self._check_order()

    def _check_order(self) -> None:
        """Refuse versions whose queries carry ids in different orders."""
        first = next(iter(self.query_vectors.items()), None)
        if first is None:
            return
        for ref, embeddings in self.query_vectors.items():
            if embeddings.ids.tolist() != first[1].ids.tolist():
                raise InvalidInputError(
                    f"{ref} and {first[0]} embedded the queries in different orders",
                    hint="rows of all versions must be the same queries in the same order",
                )

    def vectors_of(self, ref: VersionRef) -> Embeddings:
        """Return the queries as one version embedded them.

        Raises:
            InvalidInputError: if the probe lacks them.
        """
        if ref not in self.query_vectors:
            known = ", ".join(str(r) for r in sorted(self.query_vectors))
            raise InvalidInputError(
                f"the probe has no queries embedded by {ref}, only by {known}",
                hint=f"add them: --queries {ref}=FILE",
            )
        return self.query_vectors[ref]

    @property
    def groups(self) -> dict[str, Int64Array]:
        """Rows of the queries of each group; one group ``all`` if none are given."""
        return self.queries.by_group

    @property
    def digest(self) -> str:
        """SHA-256 over ids, labels, judgements, groups and vectors."""
        arrays: dict[str, LabelArray] = {
            "query ids": self.queries.ids,
            "query labels": self.queries.labels,
            "groups": self.queries.groups if self.queries.groups is not None else np.empty(0),
        }
        if self.gallery_labels is not None:
            arrays |= {
                "gallery ids": self.gallery_labels.ids,
                "gallery labels": self.gallery_labels.labels,
            }
        qrels = self.queries.qrels
        if qrels is not None:
            arrays |= {
                "judged queries": qrels.query_ids,
                "judged items": qrels.item_ids,
                "gains": qrels.gains,
            }
        arrays |= {f"vectors {ref}": e.vectors for ref, e in self.query_vectors.items()}
        return digest_json({name: digest_array(array) for name, array in arrays.items()})


def digest_array(array: LabelArray) -> str:
    """Return the SHA-256 of an array's values, in their order."""
    if array.dtype.kind in "OU":
        return digest_json([str(value) for value in array.tolist()])
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def align_labels(labels: Labels, ids: LabelArray, gallery: str) -> LabelArray:
    """Return the label of each gallery item, in the gallery's order.

    Raises:
        InvalidInputError: if an item of the gallery has no label, or an id has two.
    """
    wanted, known = (names.tolist() for names in as_one_kind(ids, labels.ids))
    by_id = dict(zip(known, labels.labels.tolist(), strict=True))
    if len(by_id) != len(known):
        _refuse_two_labels(known, labels.labels.tolist())
    missing = [item for item in wanted if item not in by_id]
    if missing:
        raise InvalidInputError(
            f"{len(missing)} of {len(ids)} items of gallery {gallery!r} have no label, "
            f"for example {missing[0]!r}; labelled are items such as {_first(known)}",
            hint="label every item: an unlabelled one would count as a wrong answer",
        )
    return np.array([by_id[item] for item in wanted])


def _first(known: list[Any]) -> str:
    return repr(known[0]) if known else "none"


def _refuse_two_labels(known: list[Any], labels: list[Any]) -> None:
    seen: dict[Any, Any] = {}
    for item, label in zip(known, labels, strict=True):
        if seen.setdefault(item, label) != label:
            raise InvalidInputError(
                f"item {item!r} has two labels, {seen[item]!r} and {label!r}",
                hint="every item has one label",
            )
