"""What a gallery holds by its events: the digest of every file, and how much is deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..db import events, galleries
from ..db.session import read
from ..domain.events import Event, EventKind, gallery_stream
from ..domain.galleries import Segment
from ..errors import CorruptFileError
from .context import Context

_ADDING = frozenset({EventKind.ITEMS_ADDED, EventKind.ITEMS_UPSERTED})
_DELETING = frozenset({EventKind.ITEMS_DELETED, EventKind.ITEMS_UPSERTED})
_REWRITING = frozenset({EventKind.SEGMENT_COMPACTED, EventKind.ITEMS_ERASED})


@dataclass(slots=True)
class SegmentContent:
    """What events say of one segment.

    Attributes:
        generation: how often it was written as a whole.
        parts: digest of each part, by number.
        index: digest of its index, or None.
        n_deleted: rows that are marked as deleted.
        n_dropped: rows that were stored once and are gone.
        batches: digests of all that was ever added, in order: rewriting changes nothing of that.
    """

    generation: int = 1
    parts: dict[int, str] = field(default_factory=dict)
    index: str | None = None
    n_deleted: int = 0
    n_dropped: int = 0
    batches: list[str] = field(default_factory=list)


def fold_content(line: Iterable[Event]) -> Mapping[int, SegmentContent]:
    """Return what the events of a gallery's stream say that it holds, by segment.

    Raises:
        CorruptFileError: if one says nothing that can be understood.
    """
    found: dict[int, SegmentContent] = defaultdict(SegmentContent)
    for event in line:
        try:
            _take(found, event.kind, cast("Mapping[str, Any]", event.payload))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptFileError(
                f"{event.name} says nothing that can be understood",
                hint="restore the database from a backup",
            ) from error
    return found


def read_batches(context: Context, gallery: str) -> dict[int, tuple[str, ...]]:
    """Return the digests of all that was ever added to a gallery, by segment, in order."""
    with read(context.engine) as connection:
        galleries.get_gallery_id(connection, gallery)
        line = events.in_stream(connection, gallery_stream(gallery))
    return {number: tuple(content.batches) for number, content in fold_content(line).items()}


def _take(found: dict[int, SegmentContent], kind: EventKind, said: Mapping[str, Any]) -> None:
    if kind in _ADDING:
        content = found[said["segment"]]
        content.parts[said["part"]] = said["digest"]
        content.batches.append(said["digest"])
    if kind in _DELETING:
        for number, n in said["by_segment"].items():
            found[int(number)].n_deleted += n
    if kind is EventKind.SEGMENT_SEALED:
        found[said["segment"]].index = said["digest"]
    if kind in _REWRITING:
        for number, facts in said["segments"].items():
            _rewrite(found[int(number)], facts)


def _rewrite(content: SegmentContent, facts: Mapping[str, Any]) -> None:
    content.generation = facts["generation"]
    content.parts = {1: facts["part"]} if facts["part"] else {}
    content.index = facts["index"]
    content.n_deleted = 0
    content.n_dropped = facts["n_dropped"]


def find_differences(
    segments: Iterable[Segment], said: Mapping[int, SegmentContent]
) -> tuple[str, ...]:
    """Return, in words, where segments are not what the events say."""
    held = {segment.number: segment for segment in segments}
    found = []
    for number in sorted({*held, *said}):
        segment, content = held.get(number), said.get(number, SegmentContent())
        if segment is None:
            found.append(f"segment {number}: it is gone")
        else:
            found += [f"segment {number}: {what}" for what in _differences(segment, content)]
    return tuple(found)


def _differences(segment: Segment, said: SegmentContent) -> list[str]:
    found = []
    if segment.generation != said.generation:
        found.append(f"it is of generation {segment.generation}, but {said.generation} was written")
    if segment.n_deleted != said.n_deleted:
        found.append(f"{segment.n_deleted} items are marked as deleted, but {said.n_deleted} were")
    if segment.n_dropped != said.n_dropped:
        found.append(f"{segment.n_dropped} rows are said to be gone, but {said.n_dropped} are")
    held = {part.number: part.file.digest for part in segment.parts}
    found += [
        f"part {number} is not the one that was recorded"
        for number in sorted({*held, *said.parts})
        if held.get(number) != said.parts.get(number)
    ]
    if (segment.index.digest if segment.index else None) != said.index:
        found.append("the index is not the one that was recorded")
    return found
