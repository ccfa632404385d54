"""The registry: one object through which everything is asked and told."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from ..arrays import LabelArray
from ..db import events, schema
from ..db.session import Watch, make_engine, name_of, read
from ..domain.canonical import Json
from ..domain.contracts import Contract
from ..domain.events import Event
from ..domain.explanations import Explanation
from ..domain.galleries import Metric
from ..domain.refs import VersionRef
from ..errors import StorageError
from ..keys import KeyRing, check_apart
from ..vectors import Embeddings, Hits
from .additions import Added
from .certificates import Certificates
from .comparing import Comparability, Comparison
from .context import Context
from .galleries import Galleries
from .integrity import Integrity
from .location import FOLDERS, check_new, disposed_on_error, existing_engine, locate
from .models import Models
from .probes import ProbeSets
from .promotions import Change, PromotionOptions, Promotions
from .queries import Queries
from .registration import Parent, Registration
from .serving import Asked
from .slots import Slots
from .trust import Trust
from .views import Views


def _now() -> datetime:
    return datetime.now(UTC)


class Registry:
    """A samespace registry: models, galleries, certificates and promotions.

    Open one with `Registry.open`; it is a context manager. Use `models`, `galleries`, `queries`,
    `probes`, `certificates` and `promotions` for everything that has no shortcut here.
    """

    def __init__(self, context: Context) -> None:
        """Use `open` or `create`."""
        self._context = context
        views = Views(context)
        self._views = views
        self.models = Models(context)
        self.queries = Queries(context, views)
        self.galleries = Galleries(context, views)
        self.probes = ProbeSets(context)
        self.certificates = Certificates(context)
        self.integrity = Integrity(context)
        self.promotions = Promotions(context, self.models)
        self.slots = Slots(context)

    @classmethod
    def open(
        cls,
        where: str | Path,
        *,
        storage: Path | None = None,
        actor: str | None = None,
        clock: Callable[[], datetime] = _now,
        keys: Path | None = None,
    ) -> Registry:
        """Open the registry in a directory, or in the database of a URL.

        Args:
            where: a directory that `create` made, or ``sqlite:///…`` or ``postgresql://…``.
            storage: folder of the files; needed with PostgreSQL, else beside the database.
            actor: who asks, for the audit trail; the user's login name by default.
            clock: gives the present.
            keys: folder of the key ring; by default ``SAMESPACE_KEYS``, or ``samespace/keys`` in
                the user's configuration. Without keys it can be read, and nothing is verified.

        Raises:
            InvalidInputError: if the keys lie within the registry.
            NotARegistryError: if there is none.
            SchemaVersionError: if it is older or newer than this code.
        """
        url, folder = locate(where, storage)
        ring = _key_ring(keys, folder)
        engine = existing_engine(url)
        with disposed_on_error(engine):
            schema.check(engine)
        return cls(Context(engine, Watch(engine), folder, clock, actor or _login(), Trust(ring)))

    @classmethod
    def create(
        cls,
        where: str | Path,
        *,
        storage: Path | None = None,
        actor: str | None = None,
        clock: Callable[[], datetime] = _now,
        keys: Path | None = None,
    ) -> Registry:
        """Make a new registry and open it; arguments as `open`'s.

        If there is no signing key yet, one is made and trusted.

        Raises:
            InvalidInputError: if the keys lie within the registry.
            AlreadyExistsError: if there is one already.
            StorageError: if the folder cannot be written.
        """
        url, folder = locate(where, storage)
        ring = _key_ring(keys, folder)
        check_new(url, folder)
        ring.create()
        try:
            for name in FOLDERS:
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write to {folder}: {error.strerror}") from error
        engine = make_engine(url)
        with disposed_on_error(engine):
            schema.upgrade(engine)
        return cls(Context(engine, Watch(engine), folder, clock, actor or _login(), Trust(ring)))

    @staticmethod
    def check_create(where: str | Path, *, storage: Path | None = None) -> tuple[str, Path]:
        """Make all of `create`'s checks, change nothing, and return its `name` and `storage`."""
        url, folder = locate(where, storage)
        return check_new(url, folder), folder

    def close(self) -> None:
        """Let go of the database."""
        self._context.watch.close()
        self._context.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def storage(self) -> Path:
        """The folder under which all files lie."""
        return self._context.storage

    @property
    def name(self) -> str:
        """The database's URL, without its password."""
        return name_of(self._context.engine.url)

    def now(self) -> datetime:
        """Return the present in UTC, by the registry's clock."""
        return self._context.clock()

    @property
    def actor(self) -> str:
        """Who is asking."""
        return self._context.actor

    def register(
        self,
        model: str,
        artifact: Path,
        *,
        parents: Sequence[Parent] = (),
        contracts: Mapping[VersionRef, Contract] | None = None,
        training: Mapping[str, Json] | None = None,
    ) -> Registration:
        """Register a model artifact; see `Models.register_artifact`."""
        return self.models.register_artifact(
            model, artifact, parents=parents, contracts=contracts, training=training
        )

    def add(self, gallery: str, items: Embeddings) -> Added:
        """Add items to a gallery; see `Galleries.add`."""
        return self.galleries.add(gallery, items)

    def search(
        self, gallery: str, queries: Asked, k: int = 10, *, min_score: float | None = None
    ) -> Hits:
        """Return the k nearest items of each query; see `Queries.search`."""
        return self.queries.search(gallery, queries, k, min_score=min_score)

    def search_batch(
        self,
        gallery: str,
        queries: Embeddings | Iterable[Asked],
        k: int = 10,
        *,
        block: int = 4096,
        min_score: float | None = None,
    ) -> Iterator[Hits]:
        """Return the hits of any number of queries, block by block; see `Queries.search_batch`."""
        return self.queries.search_batch(gallery, queries, k, block=block, min_score=min_score)

    def explain(
        self, gallery: str, query: Asked, item_ids: LabelArray | None = None, k: int = 10
    ) -> Explanation:
        """Return how one query is answered; see `Queries.explain`."""
        return self.queries.explain(gallery, query, item_ids, k)

    def compare(
        self,
        a: Embeddings,
        b: Embeddings,
        *,
        metric: Metric = Metric.COSINE,
        pairwise: bool = False,
        require_certified: bool = True,
    ) -> Comparison:
        """Return how similar items of one or two versions are; see `Queries.compare`."""
        return self.queries.compare(
            a, b, metric=metric, pairwise=pairwise, require_certified=require_certified
        )

    def comparable(self, query: str | VersionRef, gallery: str | VersionRef) -> Comparability:
        """Return what is known of comparing two versions; see `Queries.comparable`."""
        return self.queries.comparable(query, gallery)

    def promote(
        self, gallery: str, ref: str | VersionRef, options: PromotionOptions | None = None
    ) -> Change:
        """Put a version in charge of a gallery; see `Promotions.promote`."""
        return self.promotions.promote(gallery, ref, options)

    def rollback(
        self, gallery: str, *, accept_loss: bool = False, reason: str = "", dry_run: bool = False
    ) -> Change:
        """Put the previous version back in charge; see `Promotions.rollback`."""
        return self.promotions.rollback(
            gallery, accept_loss=accept_loss, reason=reason, dry_run=dry_run
        )

    def audit(self, stream: str | None = None) -> tuple[Event, ...]:
        """Return the events of one stream or of all, oldest first."""
        with read(self._context.engine) as connection:
            names = (stream,) if stream else events.streams(connection)
            found = [event for name in names for event in events.in_stream(connection, name)]
        return tuple(sorted(found, key=lambda e: (e.at, e.stream, e.sequence)))

    def find_tampering(self) -> tuple[str, ...]:
        """Return where an event chain is broken; see `Integrity.find_breaks`."""
        return self.integrity.find_breaks()


def upgrade_database(where: str | Path, *, dry_run: bool = False) -> tuple[str, str]:
    """Bring a registry's database to this code's schema and return the revisions before and after.

    Args:
        where: a directory, or a database URL.
        dry_run: make the checks and change nothing.

    Raises:
        NotARegistryError: if there is none.
        SchemaVersionError: if the database is newer than this code.
    """
    engine = existing_engine(locate(where, Path())[0])
    step = schema.known_revision if dry_run else schema.upgrade_existing
    try:
        return step(engine), schema.head_revision()
    finally:
        engine.dispose()


def _key_ring(keys: Path | None, storage: Path) -> KeyRing:
    ring = KeyRing(keys)
    check_apart(ring.folder, storage)
    return ring


def _login() -> str:
    try:
        return os.environ.get("SAMESPACE_ACTOR") or getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
