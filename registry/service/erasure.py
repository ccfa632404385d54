"""Erasing items: their ids and vectors leave every file that the registry has, and a ledger tells.

Deleting hides an item at once; erasing removes its bytes. Segments that hold it are written anew,
evidence and probe sets that name it are redacted, and one commit names all of the new files. Only
when the old ones are gone too is the erasure done.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..arrays import Int64Array, LabelArray
from ..db import events, galleries, versions
from ..db.session import Connection, read
from ..domain.canonical import Json
from ..domain.erasures import Erasure, EvidenceErasure, SegmentErasure, mask
from ..domain.events import EventKind, gallery_stream
from ..domain.galleries import Segment, SegmentState
from ..errors import ConflictError, ErasureIncompleteError, InvalidInputError, NotFoundError
from ..galleries.segments import SegmentReader
from ..vectors import check_ids
from .additions import changed_segments, check_id_type
from .context import Context
from .drafts import Draft, draft
from .redacting import Mentions, find_mentions, present_digests, record_redactions
from .redacting_probes import (
    ProbeMentions,
    find_probe_mentions,
    present_probes,
    record_probe_redactions,
)
from .rewriting import Rewriter, Rewritten, find_superseded, insert_rewritten, remove_superseded
from .views import GalleryState, Views, read_state


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did.

    Attributes:
        entry: its entry in the ledger.
        removed: paths of the files that held the items and are gone.
    """

    entry: Erasure
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Mentions:
    """What names the items, besides the segments."""

    evidence: Mentions
    probes: ProbeMentions

    @property
    def are_there(self) -> bool:
        """Whether anything does: then a key is needed, to sign what takes its place."""
        return bool(self.evidence.named or self.probes.named)

    def found(self, ids: LabelArray) -> set[object]:
        """Return which of the ids are named."""
        return self.evidence.found(ids) | self.probes.found(ids)


class Eraser:
    """Erases items from one gallery.

    Args:
        context: the surroundings.
        views: opens segments.
        state: the gallery as it was read.
        ids: distinct ids. Shape: (n,).
        reason: why, for the ledger.

    Raises:
        InvalidInputError: if there are none, or they are of the other type, or no reason.
    """

    def __init__(
        self, context: Context, views: Views, state: GalleryState, ids: LabelArray, reason: str
    ) -> None:
        if not reason.strip():
            raise InvalidInputError("an erasure needs a reason", hint='--reason "why"')
        if len(ids) == 0:
            raise InvalidInputError("there are no items to erase")
        self._context = context
        self._views = views
        self._state = state
        self._ids = check_ids(ids, len(ids))
        check_id_type(state, self._ids)
        self._reason = reason.strip()
        self._name = state.gallery.name

    def plan(self) -> Erasure:
        """Return what an erasure would write into the ledger, and change nothing.

        Raises:
            NotFoundError: if an item is nowhere.
            DigestMismatchError, CorruptFileError, SignatureError: if a file in which it may be
                cannot be relied on.
        """
        rows = self._find_rows(self._state, self._state.gallery.segments)
        mentions = self._find_mentions()
        self._check_found(rows, mentions)
        return self._entry([self._describe(s, p) for s, p in rows.items()], mentions)

    def erase(self) -> Erased:
        """Erase the items, and return once no file of the registry holds them.

        Raises:
            NotFoundError, DigestMismatchError, CorruptFileError, SignatureError: as `plan`.
            ConflictError: if somebody changed what holds them meanwhile; nothing is changed.
            ErasureIncompleteError: if they are erased but an old file could not be removed.
        """
        rows = self._find_rows(self._state, self._state.gallery.segments)
        with draft(self._context) as made:
            mentions = self._find_mentions(made)
            self._check_found(rows, mentions)
            if mentions.are_there:
                _ = self._context.trust.ring.signing
            rewritten = [self._rewrite(made, segment, found) for segment, found in rows.items()]
            done = [self._describe(one.before, rows[one.before], one) for one in rewritten]
            entry = self._entry(done, mentions)
            with made.naming() as connection:
                self._commit(connection, entry, rewritten, mentions)
        self._views.forget(self._name, [one.before.number for one in rewritten])
        return Erased(entry, finish_erasure(self._context, self._name))

    def _find_rows(
        self,
        state: GalleryState,
        segments: Iterable[Segment],
        connection: Connection | None = None,
    ) -> dict[Segment, Int64Array]:
        """Return the positions of all rows that hold an item, deleted ones too."""
        found = {}
        for segment in segments:
            if segment.n_rows > 0:
                reader = self._views.reader(state, segment, connection)
                positions = reader.all_positions_of(self._ids)
                if len(positions):
                    found[segment] = positions
        return found

    def _find_mentions(self, made: Draft | None = None) -> _Mentions:
        of = (self._context, self._state, self._ids, made)
        return _Mentions(find_mentions(*of), find_probe_mentions(*of))

    def _check_found(self, rows: Mapping[Segment, Int64Array], mentions: _Mentions) -> None:
        missing = set(self._ids.tolist()) - mentions.found(self._ids)
        for segment, positions in rows.items():
            missing.difference_update(self._open(segment).take_ids(positions).tolist())
        if missing:
            hint = f"if they were erased before: samespace gallery erasures {self._name}"
            if find_superseded(self._context, self._name):
                hint = (
                    "old files that may hold them are still there: "
                    f"samespace gallery erase {self._name} --resume"
                )
            raise NotFoundError(
                f"{len(missing)} of {len(self._ids)} ids are nowhere in gallery {self._name!r}, "
                f"for example {min(missing, key=str)!r}; nothing was erased",
                hint=hint,
            )

    def _open(self, segment: Segment) -> SegmentReader:
        return self._views.reader(self._state, segment)

    def _rewrite(self, made: Draft, segment: Segment, positions: Int64Array) -> Rewritten:
        rewriter = Rewriter(self._context, self._views, self._state, made)
        kept = rewriter.open(segment).live.copy()
        kept[positions] = False
        return rewriter.rewrite(segment, kept, may_reopen=True)

    def _describe(
        self, segment: Segment, positions: Int64Array, done: Rewritten | None = None
    ) -> SegmentErasure:
        live = self._open(segment).live
        n_rows = int(live[positions].sum())
        is_empty = segment.n_items == n_rows
        if segment.index is None:
            index = "none"
        elif is_empty:
            index = "removed"
        else:
            is_open = done is not None and done.after.state is SegmentState.OPEN
            index = "dropped" if is_open else "rebuilt"
        n_hidden = len(positions) - n_rows
        return SegmentErasure(segment.number, n_rows, n_hidden, len(segment.parts), index)

    def _entry(self, segments: Iterable[SegmentErasure], mentions: _Mentions) -> Erasure:
        salt, evidence, probes = secrets.token_hex(32), mentions.evidence, mentions.probes
        return Erasure(
            self._name,
            self._reason,
            len(self._ids),
            tuple(segments),
            tuple(EvidenceErasure(m.certificate, m.n_queries, m.n_hits) for m in evidence.named),
            evidence.missing,
            tuple(m.erasure for m in probes.named),
            probes.missing,
            salt,
            tuple(sorted(mask(item, salt) for item in self._ids.tolist())),
        )

    def _commit(
        self,
        connection: Connection,
        entry: Erasure,
        rewritten: list[Rewritten],
        mentions: _Mentions,
    ) -> None:
        model = self._state.gallery.model
        versions.model_id(connection, model, lock=True)
        key = galleries.lock_gallery(connection, self._name)
        now = read_state(connection, self._name)
        self._check_still(connection, now, mentions)
        payload: dict[str, Json] = {
            **entry.to_json(),
            "segments": insert_rewritten(self._context, connection, key, now, rewritten),
        }
        stream = gallery_stream(self._name)
        self._context.record(connection, stream, EventKind.ITEMS_ERASED, payload)
        redactions = mentions.evidence.redactions
        record_redactions(self._context, connection, model, self._name, redactions)
        record_probe_redactions(self._context, connection, model, mentions.probes.redactions)

    def _check_still(self, connection: Connection, now: GalleryState, mentions: _Mentions) -> None:
        """Refuse to commit if an item came to be somewhere else meanwhile."""
        appeared = self._find_rows(now, changed_segments(self._state, now), connection)
        evidence = present_digests(connection, self._name, now.line)
        probes = present_probes(connection, self._name, now.line)
        if appeared or (evidence, probes) != (mentions.evidence.seen, mentions.probes.seen):
            raise ConflictError(
                f"gallery {self._name!r}, its certificates or its probe sets changed while the "
                "items were erased",
                hint="nothing was erased; try again",
            )


def finish_erasure(context: Context, gallery: str) -> tuple[str, ...]:
    """Remove the files that erasures, and compactions, put others in the place of.

    Returns:
        Those that were there.

    Raises:
        ErasureIncompleteError: if one could not be removed.
    """
    removed, refused = remove_superseded(context, gallery)
    if refused:
        path, why = next(iter(refused.items()))
        raise ErasureIncompleteError(
            f"the items are erased from what {gallery!r} serves, but {len(refused)} old files "
            f"that may hold them could not be removed, for example {path}: {why}",
            hint="see to the folder's owner and permissions, then: samespace gallery erase "
            f"{gallery} --resume",
        )
    return removed


def read_ledger(context: Context, gallery: str) -> tuple[Erasure, ...]:
    """Return all erasures from a gallery, oldest first."""
    with read(context.engine) as connection:
        galleries.get_gallery_id(connection, gallery)
        line = events.in_stream(connection, gallery_stream(gallery))
    found = [event for event in line if event.kind is EventKind.ITEMS_ERASED]
    return tuple(Erasure.from_event(gallery, event) for event in found)
