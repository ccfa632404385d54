"""The items that a certification searches: those that are stored, or embedded for the purpose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compat.cells import SearchedItems
from compat.probes import Probe, align_labels
from registry.arrays import Float32Array, Int64Array
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError, SpaceMismatchError
from registry.galleries.segments import SegmentReader


def stored_items(readers: Sequence[SegmentReader], probe: Probe, gallery: str) -> SearchedItems:
    """Return the live items of some segments, in their order, with the probe's labels.

    Raises:
        InvalidInputError: if one has no label, or two.
    """
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
    probe: Probe, new: ModelVersion, items: SearchedItems, gallery: str
) -> SearchedItems:
    """Return the same items as a new version embedded them.

    Raises:
        InvalidInputError: if the probe has none of them, or lacks some.
        SpaceMismatchError: if another model embedded them.
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


def check_space(found: ModelVersion, expected: ModelVersion) -> None:
    """Refuse vectors of another model than the one that is registered.

    Raises:
        SpaceMismatchError: naming both fingerprints.
    """
    if found.fingerprint != expected.fingerprint:
        raise SpaceMismatchError(
            f"the probe's vectors of {expected.ref} carry another fingerprint: "
            f"{found.fingerprint[:19]}…, not {expected.fingerprint[:19]}…",
            hint="embed the queries again with the registered model",
        )
