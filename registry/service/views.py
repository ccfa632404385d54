"""What a gallery serves right now, opened: cached until an event changes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Lock

from ..db import events, galleries, versions
from ..db.session import Connection, read
from ..domain.calibration import AS_IT_IS
from ..domain.contracts import Contract
from ..domain.events import Event, gallery_stream, model_stream
from ..domain.galleries import Gallery, Segment
from ..domain.promotions import Serving, fold_serving
from ..domain.refs import VersionRef
from ..domain.versions import ModelVersion
from ..errors import NotCertifiedError
from ..galleries.search import SearchTarget
from ..galleries.segments import SegmentReader
from .context import Context
from .pins import check_pins, find_unpinned


@dataclass(frozen=True, slots=True)
class GalleryState:
    """A gallery and what it serves, as of one moment.

    Attributes:
        gallery: the gallery with its segments.
        serving: the pointers in force.
        versions: every version of the model line, by number.
        heads: the last event of each stream that this was read from.
        line: the events of the model line.
    """

    gallery: Gallery
    serving: Serving
    versions: dict[int, ModelVersion]
    heads: tuple[int, int]
    line: tuple[Event, ...] = field(default=(), compare=False, repr=False)

    @property
    def served_by(self) -> Event:
        """The event that put what is served in force."""
        name = self.gallery.name
        return next(e for e in reversed(self.line) if e.serves and e.payload["gallery"] == name)

    @property
    def query_version(self) -> ModelVersion:
        """The version that embeds queries."""
        return self.versions[self.serving.query_version]


@dataclass(frozen=True, slots=True)
class GalleryView:
    """A state with its segments opened for search."""

    state: GalleryState
    targets: tuple[SearchTarget, ...]

    @property
    def own_encoders(self) -> tuple[VersionRef, ...]:
        """Versions whose vectors are searched by queries of their own."""
        own = {t.reader.segment.version for t in self.targets if t.contract.has_own_encoder}
        return tuple(sorted(own))


def read_state(connection: Connection, name: str) -> GalleryState:
    """Read a gallery's state in the caller's transaction."""
    gallery = galleries.get_gallery(connection, name)
    line = events.in_stream(connection, model_stream(gallery.model))
    members = versions.all_versions(connection, gallery.model)
    return GalleryState(
        gallery=gallery,
        serving=fold_serving(line, name)[-1],
        versions={version.ref.number: version for version in members},
        heads=events.heads(connection, *_streams(gallery)),
        line=line,
    )


def check_served(context: Context, connection: Connection, state: GalleryState) -> None:
    """Refuse a state that nobody trusted signed, or whose rows were changed since.

    Raises:
        SignatureError: if the event that put it in force is by nobody trusted.
        DigestMismatchError: if that event, or a row that it pins, was changed.
    """
    gallery = state.gallery
    context.trust.check_serving(state.line, gallery.name)
    unpinned = find_unpinned(connection, state.served_by, gallery.metric, state.versions)
    check_pins(gallery.name, unpinned)


def _streams(gallery: Gallery) -> tuple[str, str]:
    return (gallery_stream(gallery.name), model_stream(gallery.model))


class Views:
    """Opened galleries. Each use asks the database whether anything happened meanwhile."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._views: dict[str, tuple[GalleryView, tuple[int, int] | None]] = {}
        self._readers: dict[tuple[str, int], tuple[Segment, SegmentReader]] = {}
        self._lock = Lock()

    def current(self, name: str) -> GalleryView:
        """Return a gallery opened as it is now."""
        view, last = self._views.get(name, (None, None))
        tick = self._context.watch.tick()  # before the state is read
        if view is not None and tick is not None and tick == last:
            return view
        if view is None or not self._is_fresh(view.state):
            with self._lock:
                view = self._open(name)
        self._views[name] = (view, tick)
        return view

    def reader(
        self,
        name: str,
        segment: Segment,
        version: ModelVersion,
        connection: Connection | None = None,
    ) -> SegmentReader:
        """Return an opened segment; an unchanged one is opened once.

        A caller that is within a transaction gives its connection, so that it needs no second one.
        """
        cached = self._readers.get((name, segment.number))
        # one that was opened when more was deleted already is not of this moment
        if cached is not None and cached[0] == segment and cached[1].n_items == segment.n_items:
            return cached[1]
        with (
            read(self._context.engine) if connection is None else nullcontext(connection) as within
        ):
            gallery = galleries.get_gallery(within, name)
            deleted = galleries.deleted_positions(within, name, segment.number)
        # rows that were added and deleted again since the segment was read are not of it
        deleted = deleted[deleted < segment.n_rows]
        if cached is not None:
            reader = cached[1].reopen(
                segment, root=self._context.storage, spec=gallery.index, deleted=deleted
            )
        else:
            reader = SegmentReader.open(
                segment,
                root=self._context.storage,
                dim=version.dim,
                metric=gallery.metric,
                spec=gallery.index,
                deleted=deleted,
            )
        self._readers[name, segment.number] = (segment, reader)
        return reader

    def _is_fresh(self, state: GalleryState) -> bool:
        first, second = _streams(state.gallery)
        found = self._context.watch.ask(events.HEADS, {"first": first, "second": second})
        return found == state.heads

    def _open(self, name: str) -> GalleryView:
        with read(self._context.engine) as connection:
            state = read_state(connection, name)
            check_served(self._context, connection, state)
            contracts = {
                number: versions.get_contract(
                    connection, state.query_version, state.versions[number]
                )
                for number in state.serving.basis
            }
            targets = tuple(self._targets(connection, state, contracts))
        return GalleryView(state, targets)

    def _targets(
        self, connection: Connection, state: GalleryState, contracts: Mapping[int, Contract | None]
    ) -> Iterator[SearchTarget]:
        """Open what is searched, in the transaction of the state: nothing is of a later moment."""
        name = state.gallery.name
        for segment in state.gallery.segments:
            number = segment.version.number
            if segment.n_items == 0 or number in state.serving.excluded:
                continue
            contract = contracts.get(number)
            if contract is None:
                raise NotCertifiedError(
                    f"gallery {name!r} holds vectors of {segment.version}, "
                    f"which {state.query_version.ref} was never promoted to search"
                )
            reader = self.reader(name, segment, state.versions[number], connection)
            to_scale = state.serving.calibration.get(number, AS_IT_IS)
            yield SearchTarget(reader, contract, number, to_scale)
