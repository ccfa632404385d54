"""Use cases of galleries: making them, adding, sealing, deleting, and reading their vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import overload

from ..arrays import LabelArray
from ..db import galleries
from ..db.session import read
from ..domain.erasures import Erasure
from ..domain.galleries import Gallery, IndexSpec, Metric, Segment
from ..domain.refs import VersionRef
from ..galleries.segments import SegmentReader
from ..vectors import Embeddings, check_ids
from . import (
    additions,
    compaction,
    creation,
    deletions,
    erasure,
    files,
    rewriting,
    sealing,
    upserts,
)
from .additions import Added
from .compaction import Compaction
from .content import read_batches
from .context import Context
from .deletions import Located
from .drafts import once_more
from .erasure import Erased
from .stored_vectors import ComparedVectors, compared_vectors, stored_vectors
from .upserts import Upserted
from .views import GalleryState, Views, read_state, settled


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
        return creation.create_gallery(self._context, name, version, metric, index or IndexSpec())

    def check_create(
        self,
        name: str,
        version: str | VersionRef,
        *,
        metric: Metric = Metric.COSINE,
        index: IndexSpec | None = None,
    ) -> Gallery:
        """Make all of `create`'s checks, change nothing, and return what it would make."""
        spec = index or IndexSpec()
        with read(self._context.engine) as connection:
            return creation.plan_gallery(self._context, connection, name, version, metric, spec)[0]

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
        return self.opened(name, version)[1]

    def opened(
        self, name: str, version: VersionRef
    ) -> tuple[GalleryState, tuple[SegmentReader, ...]]:
        """Return a gallery's state and its `readers`, both as of one moment."""
        return settled(partial(self._views.readers, name, version))

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
        state = additions.check_items(self._context, self._views, name, items, trust_space)
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
            return settled(partial(stored_vectors, self._context, self._views, name, ids))
        of = (self._context, self._views, name, ids, as_of)
        return settled(partial(compared_vectors, *of, require_certified=require_certified))

    def seal(self, name: str) -> tuple[Segment, ...]:
        """Seal the open segments: build their indexes and let them grow no more.

        Raises:
            SegmentStateError: if there is nothing to seal.
            ConflictError: if somebody added to a segment while its index was built.
        """
        sealed = sealing.seal_ready(self._context, self._views, self.state(name))
        return tuple(s for s in self.get(name).segments if s.number in sealed)

    def check_seal(self, name: str) -> tuple[Segment, ...]:
        """Return the segments that `seal` would seal."""
        return sealing.ready_to_seal(self.state(name))

    def upsert(self, name: str, items: Embeddings, *, trust_space: bool = False) -> Upserted:
        """Add items, and let the new vectors of those that are there supersede the old ones.

        Both happen in one commit, or nothing does: no search finds an item twice, or misses it.
        The version in force supersedes every other one; of the others the later one the earlier.

        Raises:
            AlreadyExistsError: if a vector would be superseded by one of a version ranking lower.
            SpaceMismatchError, InvalidInputError: as `add`.
            ConflictError: if somebody deleted or superseded one of them at the same moment.
        """
        state = additions.check_items(self._context, self._views, name, items, trust_space)
        found = upserts.plan_upsert(self._views, state, items)
        file = additions.write_part(self._context, state, items)
        return upserts.commit_upsert(self._context, self._views, state, items, found, file)

    def check_upsert(self, name: str, items: Embeddings, *, trust_space: bool = False) -> Upserted:
        """Make all of `upsert`'s checks, change nothing, and return what it would do."""
        state = additions.check_items(self._context, self._views, name, items, trust_space)
        found = upserts.plan_upsert(self._views, state, items)
        return upserts.summarise(state, items, found, None)

    def delete(self, name: str, ids: LabelArray) -> int:
        """Delete items by id and return how many; from this commit on no search finds them.

        Their bytes stay in the files until the gallery is compacted, or the items are erased.

        Raises:
            InvalidInputError: if there are no ids.
            NotFoundError: if an id is not there; then nothing is deleted.
            ConflictError: if somebody deleted one, or wrote its segment anew, at the same moment.
        """
        return deletions.commit_deletions(self._context, name, self._locate(name, ids))

    def check_delete(self, name: str, ids: LabelArray) -> int:
        """Return how many items `delete` would delete, after making all of its checks."""
        return sum(len(rows) for rows in self._locate(name, ids).values())

    def _locate(self, name: str, ids: LabelArray) -> Located:
        return deletions.locate(self._context, self._views, name, check_ids(ids, len(ids)))

    def compact(self, name: str, *, rebuild_indexes: bool = False) -> Compaction:
        """Make one part of each segment's parts, and take deleted rows out of the files.

        Live items keep their ids and vectors, bit for bit. Each segment is a commit of its own.
        With `rebuild_indexes` also where an approximate index has to be built again, by which
        certificates that were measured on it become stale.

        Raises:
            ConflictError: if somebody changed a segment meanwhile; those before it are compacted.
            InvalidInputError: if an index cannot be built of what is left; likewise.
        """
        return compaction.compact(
            self._context, self._views, self.state(name), rebuild=rebuild_indexes
        )

    def check_compact(self, name: str, *, rebuild_indexes: bool = False) -> Compaction:
        """Return what `compact` would do."""
        return compaction.plan_compaction(self.get(name), rebuild=rebuild_indexes)

    def erase(self, name: str, ids: LabelArray, reason: str) -> Erased:
        """Erase items: no file of the registry holds their ids or vectors once this returns.

        They leave every segment, with deleted and superseded rows, every index, the evidence of
        every certificate and every registered probe set. What was exported, copied or backed up is
        beyond the registry's reach.
        The reason goes into the ledger and must not name them.

        Raises:
            InvalidInputError: if there are no ids, they are of the other type, or no reason.
            NotFoundError: if an id is nowhere, or evidence or a probe set names one and there is
                no key to sign its redaction with.
            ConflictError: if somebody changed what holds them meanwhile.
            ErasureIncompleteError: if they are gone from all that is served, but an old file could
                not be removed: see `resume_erasure`. In all other cases nothing is erased.
        """
        return erasure.Eraser(self._context, self._views, self.state(name), ids, reason).erase()

    def check_erase(self, name: str, ids: LabelArray, reason: str) -> Erasure:
        """Make all of `erase`'s checks, change nothing, and return where the items are."""
        return erasure.Eraser(self._context, self._views, self.state(name), ids, reason).plan()

    def resume_erasure(self, name: str, *, dry_run: bool = False) -> tuple[str, ...]:
        """Remove old files that an interrupted erasure or compaction left, and return them.

        Raises:
            ErasureIncompleteError: if one could not be removed.
        """
        if dry_run:
            return rewriting.find_superseded(self._context, name)
        return erasure.finish_erasure(self._context, name)

    def erasures(self, name: str) -> tuple[Erasure, ...]:
        """Return the ledger: what was erased from a gallery, oldest first."""
        return erasure.read_ledger(self._context, name)

    def batches(self, name: str) -> Mapping[int, tuple[str, ...]]:
        """Return the digests of all that was ever added, by segment; no compaction changes that."""
        return read_batches(self._context, name)

    def verify_files(self, name: str) -> int:
        """Compare every file of a gallery with its digest and return how many there are.

        Raises:
            DigestMismatchError: if one is not what was recorded.
            CorruptFileError: if one is missing.
        """
        return once_more(partial(files.verify_gallery, self._context, name))

    def litter(self, *, older_than_hours: float = 1.0) -> tuple[str, ...]:
        """Return files, and folders of models, that no committed row names.

        An interrupted process left them behind. What is younger than that may belong to one that
        is about to commit it.
        """
        return files.find_litter(self._context, older_than_hours)

    def prune(self, litter: Iterable[str], *, older_than_hours: float = 1.0) -> tuple[str, ...]:
        """Remove what `litter` found and still finds, and return what was removed.

        Paths that are no litter, now or ever, are left as they are.

        Raises:
            StorageError: if the file system refuses; what was removed before stays removed.
        """
        return files.prune_litter(self._context, litter, older_than_hours)
