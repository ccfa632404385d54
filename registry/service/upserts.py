"""Upserting: new items are added, and of those that are there the new vector takes the place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..db import galleries
from ..domain.canonical import Json
from ..domain.events import EventKind, gallery_stream
from ..domain.galleries import Segment, StoredFile
from ..domain.refs import VersionRef
from ..errors import AlreadyExistsError
from ..vectors import Embeddings
from .additions import changed_segments, check, insert_part
from .context import Context
from .deletions import Located, find_live, insert_deletions
from .drafts import write_naming
from .views import GalleryState, Views, read_state


@dataclass(frozen=True, slots=True)
class Upserted:
    """What an upsert committed, or would commit.

    Attributes:
        gallery: the gallery's name.
        segment: number of the segment that took the vectors; None before it is committed.
        version: which version made them.
        n_new: items that were not there before.
        n_superseded: items whose vector was replaced.
        n_items_after: items that can be found from now on.
    """

    gallery: str
    segment: int | None
    version: VersionRef
    n_new: int
    n_superseded: int
    n_items_after: int


def plan_upsert(views: Views, state: GalleryState, items: Embeddings) -> Located:
    """Return where the items are that would be superseded.

    Raises:
        AlreadyExistsError: if a vector would be superseded by one of a version that ranks lower.
    """
    found = find_live(views, state, items.ids, state.gallery.segments)
    _check_rank(state, items.version.ref, found)
    return found


def _check_rank(state: GalleryState, version: VersionRef, found: Iterable[Segment]) -> None:
    """Refuse to go back: the version in force ranks highest, the others by their number.

    So after a rollback the version in force supersedes what the later one wrote, and a slow
    client of an older version never undoes what a newer one wrote.
    """
    in_force = state.serving.query_version
    if version.number == in_force:
        return
    above = [s for s in found if s.version.number > version.number or s.version.number == in_force]
    if above:
        newer = ", ".join(sorted({str(segment.version) for segment in above}))
        raise AlreadyExistsError(
            f"some of the items have vectors of {newer} in gallery {state.gallery.name!r}, "
            f"which vectors of {version} do not supersede",
            hint=f"nothing was changed; embed them with {state.query_version.ref}, or leave out "
            "those that have such vectors",
        )


def summarise(
    state: GalleryState, items: Embeddings, found: Located, segment: int | None
) -> Upserted:
    """Return what an upsert does, in numbers."""
    n_superseded = sum(map(len, found.values()))
    n_new = len(items) - n_superseded
    n_after = state.gallery.n_items + n_new
    version = items.version.ref
    return Upserted(state.gallery.name, segment, version, n_new, n_superseded, n_after)


def commit_upsert(
    context: Context,
    views: Views,
    state: GalleryState,
    items: Embeddings,
    found: Located,
    file: StoredFile,
) -> Upserted:
    """Name the new part and delete what it supersedes, in one transaction."""
    name = state.gallery.name
    with write_naming(context, file) as connection:
        key = galleries.lock_gallery(connection, name)
        now = read_state(connection, name)
        if now.heads != state.heads:
            check(now, items)
            changed = changed_segments(state, now)
            kept = {s: p for s, p in found.items() if s in now.gallery.segments}
            found = {**kept, **find_live(views, now, items.ids, changed, connection)}
            _check_rank(now, items.version.ref, found)
        counts = insert_deletions(context, connection, key, name, found)
        facts = insert_part(context, connection, key, now, items, file)
        done = summarise(now, items, found, facts.segment)
        payload: dict[str, Json] = {
            **facts.to_json(),
            "n_superseded": done.n_superseded,
            "by_segment": counts,
        }
        context.record(connection, gallery_stream(name), EventKind.ITEMS_UPSERTED, payload)
    return done
