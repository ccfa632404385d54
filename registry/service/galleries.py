"""Use cases of galleries: making them, adding, sealing, deleting, and reading their vectors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import overload

from ..arrays import LabelArray
from ..db import galleries, versions
from ..db.session import Connection, read, write
from ..domain.canonical import Json
from ..domain.events import EventKind, model_stream
from ..domain.galleries import Gallery, IndexSpec, Metric, Segment
from ..domain.promotions import SAME_SPACE, Serving
from ..domain.refs import VersionRef, check_name
from ..domain.versions import ModelVersion
from ..errors import AlreadyExistsError, InvalidInputError, StorageError
from ..galleries import catalog, storage
from ..galleries.litter import find_unnamed, remove_unnamed
from ..galleries.segments import SegmentReader
from ..vectors import Embeddings, check_ids
from . import additions, sealing
from .additions import Added
from .context import Context, resolve
from .pins import pin
from .stored_vectors import ComparedVectors, compared_vectors, stored_vectors
from .views import GalleryState, Views, check_served, read_state


class Galleries:
    """Galleries and what they hold."""

    def __init__(self, context: Context, views: Views) -> None:
        self._context = context
        self._views = views

    def create(
        self,
        name: str,
        version: str | VersionRef,
        *,
        metric: Metric = Metric.COSINE,
        index: IndexSpec | None = None,
    ) -> Gallery:
        """Make an empty gallery whose queries and items are embedded by one version.

        Raises:
            InvalidInputError: if the name cannot be one.
            NotFoundError: if the version or the index back end does not exist.
            AlreadyExistsError: if the name is taken.
        """
        spec = index or IndexSpec()
        with write(self._context.engine) as connection:
            gallery, first = self._plan(connection, name, version, metric, spec)
            versions.model_id(connection, gallery.model, lock=True)
            galleries.insert_gallery(connection, gallery, self._context.actor)
            number = first.ref.number
            serving = Serving(number, (number,), {number: SAME_SPACE})
            payload: dict[str, Json] = {
                "gallery": name,
                "serving": serving.to_json(),
                "pinned": pin(connection, {number: first}, metric, serving),
            }
            self._context.record(
                connection, model_stream(gallery.model), EventKind.GALLERY_CREATED, payload
            )
        return gallery

    def check_create(
        self,
        name: str,
        version: str | VersionRef,
        *,
        metric: Metric = Metric.COSINE,
        index: IndexSpec | None = None,
    ) -> Gallery:
        """Make all of `create`'s checks, change nothing, and return what it would make."""
        with read(self._context.engine) as connection:
            return self._plan(connection, name, version, metric, index or IndexSpec())[0]

    def _plan(
        self,
        connection: Connection,
        name: str,
        version: str | VersionRef,
        metric: Metric,
        spec: IndexSpec,
    ) -> tuple[Gallery, ModelVersion]:
        check_name("gallery", name)
        if name in galleries.gallery_names(connection):
            raise AlreadyExistsError(f"there is a gallery {name!r} already")
        first = resolve(connection, version, self._context.trust)
        catalog.check_spec(spec, dim=first.dim, metric=metric)
        gallery = Gallery(name, first.ref.model, metric, None, spec, self._context.clock(), ())
        return gallery, first

    def get(self, name: str) -> Gallery:
        """Return a gallery with its segments as they are now."""
        with read(self._context.engine) as connection:
            return galleries.get_gallery(connection, name)

    def list(self) -> tuple[Gallery, ...]:
        """Return all galleries."""
        with read(self._context.engine) as connection:
            names = galleries.gallery_names(connection)
            return tuple(galleries.get_gallery(connection, name) for name in names)

    def state(self, name: str) -> GalleryState:
        """Return a gallery with the pointers that are in force."""
        with read(self._context.engine) as connection:
            return read_state(connection, name)

    def readers(self, name: str, version: VersionRef) -> tuple[SegmentReader, ...]:
        """Return the opened segments that hold live vectors of one version.

        Raises:
            NotFoundError: if the gallery or the version does not exist.
        """
        with read(self._context.engine) as connection:
            state = read_state(connection, name)
            versions.get_version(connection, version)
        return self.readers_of(state, version)

    def readers_of(self, state: GalleryState, version: VersionRef) -> tuple[SegmentReader, ...]:
        """Return the opened segments that hold live vectors of one version in a given state."""
        member = state.versions[version.number]
        return tuple(
            self._views.reader(state.gallery.name, segment, member)
            for segment in state.gallery.segments
            if segment.version == version and segment.n_items > 0
        )

    def add(self, name: str, items: Embeddings, *, trust_space: bool = False) -> Added:
        """Add items. They are all there once this returns, or none is.

        Args:
            name: the gallery.
            items: vectors of a version that may write there.
            trust_space: add even if the vectors look like another model's than those that are
                there of the same version.

        Raises:
            SpaceMismatchError: if the gallery takes no items of that version, or the vectors are
                of another space than that version's.
            AlreadyExistsError: if an id is there already.
            InvalidInputError: if ids are of the other type, or a vector cannot be stored.
        """
        state = self.check_add(name, items, trust_space=trust_space)
        file = additions.write_part(self._context, state, items)
        return additions.commit_part(self._context, self._views, state, items, file)

    def check_add(self, name: str, items: Embeddings, *, trust_space: bool = False) -> GalleryState:
        """Make all of `add`'s checks, change nothing, and return what the gallery is now."""
        with read(self._context.engine) as connection:
            state = read_state(connection, name)
            check_served(self._context, connection, state)
        additions.check(state, items)
        if not trust_space:
            additions.check_space(self._views, state, items)
        additions.check_new(self._views, state, items.ids, state.gallery.segments)
        return state

    def check_space(self, name: str, vectors: Embeddings) -> None:
        """Refuse vectors that do not look like those that the gallery holds of their version.

        Embeddings made here carry a fingerprint; this is for vectors that came without one, as
        items or as queries. It compares second moments, so it takes some 128 vectors to tell.

        Raises:
            SpaceMismatchError: if they plainly are of another space.
        """
        additions.check_space(self._views, self.state(name), vectors)

    @overload
    def vectors(
        self, name: str, ids: LabelArray, *, as_of: None = None
    ) -> tuple[Embeddings, ...]: ...

    @overload
    def vectors(
        self, name: str, ids: LabelArray, *, as_of: str | VersionRef, require_certified: bool = True
    ) -> ComparedVectors: ...

    def vectors(
        self,
        name: str,
        ids: LabelArray,
        *,
        as_of: str | VersionRef | None = None,
        require_certified: bool = True,
    ) -> tuple[Embeddings, ...] | ComparedVectors:
        """Return the vectors of items in the order asked for, of hidden items too.

        Args:
            name: the gallery.
            ids: distinct ids. Shape: (n,).
            as_of: a version, to get all in one array, as its queries compare them. By default they
                come as they are stored, apart for each version, oldest first.
            require_certified: with `as_of`, want it to be served here, or certified for here.

        Raises:
            NotFoundError: if an id is not there, or there is no such version.
            UndeclaredComparisonError: if nobody declared how the version's queries are compared.
            NotCertifiedError: if nothing shows that this means anything.
            SpaceMismatchError: if the version is of another model line.
            InvalidInputError: if there are no ids, or of the other type.
        """
        if as_of is None:
            return stored_vectors(self._context, self._views, name, ids)
        of = (self._context, self._views, name, ids, as_of)
        return compared_vectors(*of, require_certified=require_certified)

    def seal(self, name: str) -> tuple[Segment, ...]:
        """Seal the open segments: build their indexes and let them grow no more.

        Raises:
            SegmentStateError: if there is nothing to seal.
            ConflictError: if somebody added to a segment while its index was built.
        """
        state = self.state(name)
        ready = sealing.ready_to_seal(state)
        for segment in ready:
            sealing.seal_segment(self._context, self._views, state, segment)
        sealed = {segment.number for segment in ready}
        return tuple(s for s in self.get(name).segments if s.number in sealed)

    def check_seal(self, name: str) -> tuple[Segment, ...]:
        """Return the segments that `seal` would seal."""
        return sealing.ready_to_seal(self.state(name))

    def delete(self, name: str, ids: LabelArray) -> int:
        """Delete items by id and return how many; from this commit on no search finds them.

        Raises:
            InvalidInputError: if there are no ids.
            NotFoundError: if an id is not there; then nothing is deleted.
        """
        found = sealing.locate(self._views, self.state(name), check_ids(ids, len(ids)))
        return sealing.commit_deletions(self._context, name, found)

    def check_delete(self, name: str, ids: LabelArray) -> int:
        """Return how many items `delete` would delete, after making all of its checks."""
        found = sealing.locate(self._views, self.state(name), check_ids(ids, len(ids)))
        return sum(len(rows) for rows in found.values())

    def verify_files(self, name: str) -> int:
        """Compare every file of a gallery with its digest and return how many there are.

        Raises:
            DigestMismatchError: if one is not what was recorded.
            CorruptFileError: if one is missing.
        """
        segments = self.get(name).segments
        files = [part.file for segment in segments for part in segment.parts]
        files += [segment.index for segment in segments if segment.index is not None]
        for file in files:
            storage.verify_file(self._context.storage, file)
        return len(files)

    def litter(self, *, older_than_hours: float = 1.0) -> tuple[str, ...]:
        """Return files, and folders of models, that no committed row names.

        An interrupted process left them behind. What is younger than that may belong to one that
        is about to commit it.
        """
        before = self._moment(older_than_hours)
        return find_unnamed(self._context.storage, self._named(), modified_before=before)

    def prune(self, litter: Iterable[str], *, older_than_hours: float = 1.0) -> tuple[str, ...]:
        """Remove what `litter` found and still finds, and return what was removed.

        Paths that are no litter, now or ever, are left as they are.

        Raises:
            StorageError: if the file system refuses; what was removed before stays removed.
        """
        root, before = self._context.storage, self._moment(older_than_hours)
        still = find_unnamed(root, self._named(), modified_before=before)
        removed = []
        for relative in sorted(set(litter).intersection(still)):
            try:
                if remove_unnamed(root, relative, self._named, modified_before=before):
                    removed.append(relative)
            except OSError as error:
                raise StorageError(
                    f"cannot remove {relative}: {error.strerror}",
                    hint="check the folder's owner and permissions",
                ) from error
        return tuple(removed)

    def _moment(self, hours_ago: float) -> float:
        if math.isnan(hours_ago):
            raise InvalidInputError("the age must be a number of hours", hint="such as 1 or 0.5")
        return self._context.clock().timestamp() - 3600 * hours_ago

    def _named(self) -> frozenset[str]:
        with read(self._context.engine) as connection:
            models = {v.artifact_path for v in versions.all_versions(connection)}
            return galleries.stored_paths(connection).union(path for path in models if path)
