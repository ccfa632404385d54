"""The registry for asyncio: the same names and types, with each call in a thread.

Nothing here waits for the database or an index in the event loop. A call that is cancelled is over
only when its thread is: nothing goes on behind the caller's back. What a cancelled write was about
is there as a whole, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from .arrays import LabelArray
from .domain.refs import VersionRef
from .service.galleries import Galleries
from .service.models import Models
from .service.registry import Registry
from .service.serving import Asked
from .service.stored_vectors import ComparedVectors
from .vectors import Embeddings, Hits

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Worker(Generic[S]):
    """Runs what is asked of one object in threads, a bounded number of them."""

    target: S
    threads: ThreadPoolExecutor

    async def run(self, work: Callable[[S], T]) -> T:
        """Return what some work on the object gives.

        If this is cancelled, work that has not begun never does, and other work is waited for.
        """
        return await _outcome(self.threads.submit(copy_context().run, work, self.target))


async def _outcome(submitted: Future[T]) -> T:
    future = asyncio.wrap_future(submitted)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        submitted.cancel()
        while not future.done():
            with suppress(asyncio.CancelledError):  # once is enough
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # nobody is left to hear of it
        raise


class _Owner(Protocol[S]):
    """What hands its calls on to a worker."""

    @property
    def worker(self) -> Worker[S]: ...


def _threaded(
    method: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[_Owner[S], P], Coroutine[Any, Any, T]]:
    """Return a method that runs another class's method of the same name in a thread."""

    @wraps(method)
    async def call(owner: _Owner[S], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await owner.worker.run(lambda target: method(target, *args, **kwargs))

    return call


@dataclass(frozen=True, slots=True)
class AsyncModels:
    """`Models`, each call in a thread."""

    worker: Worker[Models]

    register_artifact = _threaded(Models.register_artifact)
    register_vectors = _threaded(Models.register_vectors)
    check_parents = _threaded(Models.check_parents)
    get = _threaded(Models.get)
    list = _threaded(Models.list)
    aliases = _threaded(Models.aliases)
    lineage = _threaded(Models.lineage)
    contract = _threaded(Models.contract)
    declare_contract = _threaded(Models.declare_contract)
    declare_contracts = _threaded(Models.declare_contracts)
    check_contracts = _threaded(Models.check_contracts)
    declare_each = _threaded(Models.declare_each)
    check_each = _threaded(Models.check_each)
    artifact_directory = _threaded(Models.artifact_directory)
    verify_artifact = _threaded(Models.verify_artifact)


@dataclass(frozen=True, slots=True)
class AsyncGalleries:
    """`Galleries`, each call in a thread."""

    worker: Worker[Galleries]

    create = _threaded(Galleries.create)
    check_create = _threaded(Galleries.check_create)
    get = _threaded(Galleries.get)
    list = _threaded(Galleries.list)
    state = _threaded(Galleries.state)
    readers = _threaded(Galleries.readers)
    readers_of = _threaded(Galleries.readers_of)
    add = _threaded(Galleries.add)
    check_add = _threaded(Galleries.check_add)
    check_space = _threaded(Galleries.check_space)
    seal = _threaded(Galleries.seal)
    check_seal = _threaded(Galleries.check_seal)
    delete = _threaded(Galleries.delete)
    check_delete = _threaded(Galleries.check_delete)
    verify_files = _threaded(Galleries.verify_files)
    litter = _threaded(Galleries.litter)
    prune = _threaded(Galleries.prune)

    @overload
    async def vectors(
        self, name: str, ids: LabelArray, *, as_of: None = None
    ) -> tuple[Embeddings, ...]: ...

    @overload
    async def vectors(
        self, name: str, ids: LabelArray, *, as_of: str | VersionRef, require_certified: bool = True
    ) -> ComparedVectors: ...

    async def vectors(
        self,
        name: str,
        ids: LabelArray,
        *,
        as_of: str | VersionRef | None = None,
        require_certified: bool = True,
    ) -> tuple[Embeddings, ...] | ComparedVectors:
        """Return the vectors of items; see `Galleries.vectors`."""
        if as_of is None:
            return await self.worker.run(lambda target: target.vectors(name, ids))
        return await self.worker.run(
            lambda target: target.vectors(
                name, ids, as_of=as_of, require_certified=require_certified
            )
        )


class AsyncRegistry:
    """A registry whose methods are awaited; an async context manager that closes it at the end.

    Args:
        registry: an open registry. Others may go on using it; it is closed with this.
        threads: how many calls run at once; more of them wait for their turn.
    """

    def __init__(self, registry: Registry, *, threads: int = 8) -> None:
        pool = ThreadPoolExecutor(threads, thread_name_prefix="samespace")
        self.worker = Worker(registry, pool)
        self.models = AsyncModels(Worker(registry.models, pool))
        self.galleries = AsyncGalleries(Worker(registry.galleries, pool))

    register = _threaded(Registry.register)
    add = _threaded(Registry.add)
    search = _threaded(Registry.search)
    explain = _threaded(Registry.explain)
    compare = _threaded(Registry.compare)
    comparable = _threaded(Registry.comparable)
    promote = _threaded(Registry.promote)
    rollback = _threaded(Registry.rollback)
    audit = _threaded(Registry.audit)
    find_tampering = _threaded(Registry.find_tampering)

    @property
    def sync(self) -> Registry:
        """The registry itself, for what never waits: its name, its storage, the present."""
        return self.worker.target

    async def run(self, work: Callable[[Registry], T]) -> T:
        """Run anything else in a thread: ``await r.run(lambda r: r.slots.get("faces"))``."""
        return await self.worker.run(work)

    async def search_batch(
        self,
        gallery: str,
        queries: Embeddings | Iterable[Asked],
        k: int = 10,
        *,
        block: int = 4096,
        min_score: float | None = None,
    ) -> AsyncIterator[Hits]:
        """Yield the hits of any number of queries, block by block; see `Queries.search_batch`."""
        blocks = await self.run(
            lambda r: r.search_batch(gallery, queries, k, block=block, min_score=min_score)
        )
        while (hits := await self.run(lambda _: next(blocks, None))) is not None:
            yield hits

    async def close(self) -> None:
        """Wait for the calls that are running, then let go of threads and database."""
        closing = ThreadPoolExecutor(1, thread_name_prefix="samespace-close")
        await _outcome(closing.submit(self._close))
        closing.shutdown()

    def _close(self) -> None:
        self.worker.threads.shutdown()
        self.sync.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
