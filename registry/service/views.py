"""What a gallery serves right now, opened: cached until an event changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TypeVar

from ..arrays import Int64Array
from ..db import events, galleries, versions
from ..db.session import Connection, read
from ..domain.calibration import AS_IT_IS
from ..domain.contracts import Contract
from ..domain.events import Event, gallery_stream, model_stream
from ..domain.galleries import Gallery, Segment
from ..domain.promotions import Serving, fold_serving
from ..domain.refs import VersionRef
from ..domain.versions import ModelVersion
from ..errors import (
    ConflictError,
    CorruptFileError,
    NotCertifiedError,
    SamespaceError,
    StorageError,
)
from ..galleries.search import SearchTarget
from ..galleries.segments import SegmentReader
from .context import Context
from .pins import check_pins, find_unpinned

ResultT = TypeVar("ResultT")
_MOST_TRIES = 5


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


def settled(step: Callable[[], ResultT]) -> ResultT:
    """Read something of a gallery; if files are replaced just then, as it is after that."""
    for _ in range(_MOST_TRIES):
        with suppress(ConflictError):
            return step()
    return step()


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
                view = settled(partial(self._open, name))
        self._views[name] = (view, tick)
        return view

    def forget(self, name: str, numbers: Iterable[int]) -> None:
        """Let go of a gallery's opened segments, so that files that are gone take no more room."""
        with self._lock:
            self._views.pop(name, None)
            for number in numbers:
                self._readers.pop((name, number), None)

    def reader(
        self, state: GalleryState, segment: Segment, connection: Connection | None = None
    ) -> SegmentReader:
        """Return an opened segment of a state; an unchanged one is opened once.

        A caller gives the transaction in which it read the state: then both are of one moment, and
        an item that is superseded after that is found where it was. Without one, what was deleted
        up to now is missing as well.

        Raises:
            ConflictError: if it was written anew meanwhile, and its files are gone.
        """
        name = state.gallery.name
        cached = self._readers.get((name, segment.number))
        # one that was opened when more was deleted already is not of this moment
        if cached is not None and cached[0] == segment and cached[1].n_items == segment.n_items:
            return cached[1]
        with (
            read(self._context.engine) if connection is None else nullcontext(connection) as within
        ):
            deleted = galleries.deleted_positions(within, name, segment)
        # rows that were added and deleted again since the segment was read are not of it
        reader = self._opened(state, segment, deleted[deleted < segment.n_rows])
        self._readers[name, segment.number] = (segment, reader)
        return reader

    def readers(
        self, name: str, version: VersionRef
    ) -> tuple[GalleryState, tuple[SegmentReader, ...]]:
        """Return a gallery's state and its opened segments of one version, as of one moment.

        Raises:
            NotFoundError: if the gallery or the version does not exist.
            ConflictError: as `reader`.
        """
        with read(self._context.engine) as connection:
            state = read_state(connection, name)
            versions.get_version(connection, version)
            readers = tuple(
                self.reader(state, segment, connection)
                for segment in state.gallery.segments
                if segment.version == version and segment.n_items > 0
            )
        return state, readers

    def _opened(self, state: GalleryState, segment: Segment, deleted: Int64Array) -> SegmentReader:
        gallery, root = state.gallery, self._context.storage
        cached = self._readers.get((gallery.name, segment.number))
        try:
            if cached is not None:
                return cached[1].reopen(segment, root=root, spec=gallery.index, deleted=deleted)
            return SegmentReader.open(
                segment,
                root=root,
                dim=state.versions[segment.version.number].dim,
                metric=gallery.metric,
                spec=gallery.index,
                deleted=deleted,
            )
        except (CorruptFileError, StorageError) as error:
            self._check_generation(gallery.name, segment, error)
            raise

    def _check_generation(self, name: str, segment: Segment, error: SamespaceError) -> None:
        """Say of a file that is missing that others took its place, if that is so."""
        with read(self._context.engine) as connection:
            segments = galleries.get_gallery(connection, name).segments
        if segments[segment.number - 1].generation != segment.generation:
            raise ConflictError(
                f"segment {segment.number} of {name!r} was written anew meanwhile", hint="try again"
            ) from error

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
        for segment in state.gallery.segments:
            number = segment.version.number
            if segment.n_items == 0 or number in state.serving.excluded:
                continue
            contract = contracts.get(number)
            if contract is None:
                raise NotCertifiedError(
                    f"gallery {state.gallery.name!r} holds vectors of {segment.version}, "
                    f"which {state.query_version.ref} was never promoted to search"
                )
            to_scale = state.serving.calibration.get(number, AS_IT_IS)
            yield SearchTarget(self.reader(state, segment, connection), contract, number, to_scale)
