"""The items that a probe's queries search, and what must hold between the two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compat.cells import SearchedItems, itself_among, relevance_of
from compat.evaluation.qrels import relevance_from_qrels
from compat.probes import Labels, Probe, align_labels
from registry.arrays import Float32Array, Int64Array, LabelArray
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError, SpaceMismatchError
from registry.galleries.segments import SegmentReader
from registry.service import Registry


def check_space(found: ModelVersion, expected: ModelVersion) -> None:
    """Refuse vectors of a version that carry another fingerprint than the registered one."""
    if found.fingerprint != expected.fingerprint:
        raise SpaceMismatchError(
            f"the probe's vectors of {expected.ref} carry another fingerprint: "
            f"{found.fingerprint[:19]}…, not {expected.fingerprint[:19]}…",
            hint="embed the queries again with the registered model",
        )


def stored_items(readers: Sequence[SegmentReader], gallery: str, probe: Probe) -> SearchedItems:
    """Return the live items of some segments, with the labels that the probe gives them."""
    ids = np.concatenate([reader.take_ids(reader.live_positions()) for reader in readers])
    given = probe.gallery_labels
    labels = ids if given is None else align_labels(given, ids, gallery)
    blocks = [block for reader in readers for block in _live_blocks(reader)]
    return SearchedItems(ids, labels, blocks)


def _live_blocks(reader: SegmentReader) -> list[Float32Array]:
    live = reader.live_positions()
    if len(live) == reader.n_rows:
        return [block for _, block in reader.blocks()]
    return [block[_within(live, first, len(block))] for first, block in reader.blocks()]


def _within(positions: Int64Array, first: int, size: int) -> Int64Array:
    inside = positions[(positions >= first) & (positions < first + size)]
    return inside - first


def reembedded_items(
    gallery: str, probe: Probe, new: ModelVersion, items: SearchedItems
) -> SearchedItems:
    """Return the same items as the new version embedded them, in the same order.

    Raises:
        InvalidInputError: if some are missing.
        SpaceMismatchError: if they are of another space.
    """
    again = probe.reembedded
    if again is None:
        raise InvalidInputError("the probe has no re-embedded items")
    check_space(again.version, new)
    place = {item: row for row, item in enumerate(again.ids.tolist())}
    missing = [item for item in items.ids.tolist() if item not in place]
    if missing:
        raise InvalidInputError(
            f"{len(missing)} of {len(items.ids)} items of gallery {gallery!r} are not among "
            f"the re-embedded ones, for example {missing[0]!r}",
            hint="embed all of them with the new version, or leave the re-embedded items out",
        )
    rows = np.array([place[item] for item in items.ids.tolist()])
    return SearchedItems(items.ids, items.labels, [again.vectors[rows]])


def check_answerable(gallery: str, asked: Labels, items: SearchedItems) -> None:
    """Refuse queries without a relevant item.

    Raises:
        InvalidInputError: naming the first.
    """
    itself = itself_among(asked, items)
    unanswerable = np.flatnonzero(relevance_of(asked, items).without(itself).n_relevant == 0)
    if len(unanswerable):
        row = int(unanswerable[0])
        by = "" if asked.qrels is not None else f" with label {asked.labels.tolist()[row]!r}"
        other = " other than itself" if itself[row] >= 0 else ""
        raise InvalidInputError(
            f"{len(unanswerable)} of {len(asked.ids)} queries have no relevant item in gallery "
            f"{gallery!r}, for example query {asked.ids.tolist()[row]!r}{by}{other}",
            hint="a query without a right answer measures nothing: leave those out",
        )


def check_judgements(registry: Registry, gallery: str, asked: Labels) -> None:
    """Refuse judgements of queries that were not asked, or of items that the gallery lacks.

    Raises:
        InvalidInputError: if there are such, or a query has none above 0.
    """
    if asked.qrels is None:
        return
    try:
        relevance_from_qrels(asked.qrels, asked.ids, live_ids(registry, gallery))
    except ValueError as error:
        raise InvalidInputError(
            f"the judgements do not fit gallery {gallery!r}: {error}"
        ) from error


def live_ids(registry: Registry, gallery: str) -> LabelArray:
    """Return the ids of all items that can be found, whichever version embedded them.

    Raises:
        InvalidInputError: if there are none.
    """
    galleries = registry.galleries
    readers = [
        reader
        for version in galleries.get(gallery).versions()
        for reader in galleries.readers(gallery, version)
    ]
    if not readers:
        raise InvalidInputError(f"gallery {gallery!r} holds no items", hint="add some first")
    return np.concatenate([reader.take_ids(reader.live_positions()) for reader in readers])
