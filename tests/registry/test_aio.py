from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Event, Thread, current_thread
from typing import Any

import numpy as np
import pytest

from registry import AsyncRegistry, Hits, ModelVersion, PromotionOptions, Registry
from registry.aio import AsyncGalleries, AsyncModels
from registry.errors import NotFoundError, SpaceMismatchError
from registry.service.galleries import Galleries
from registry.service.models import Models
from registry.service.queries import Queries
from tests.registry.service.builders import asked, certify, compatible, embedded


@pytest.fixture
def v2(registry: Registry, v1: ModelVersion) -> ModelVersion:
    return compatible(registry, "two", v1, dim=12)


@pytest.fixture
def shop(registry: Registry, v1: ModelVersion, v2: ModelVersion) -> str:
    registry.galleries.create("shop", v1.ref)
    registry.add("shop", embedded(v1, range(20)))
    certify(registry, "shop", v2.ref, v1.ref)
    return "shop"


@asynccontextmanager
async def opened(home: Path, *, threads: int = 8) -> AsyncIterator[AsyncRegistry]:
    """A registry of its own, for the one of the fixture has a clock that is set by hand."""
    async with AsyncRegistry(Registry.open(home, actor="async"), threads=threads) as registry:
        yield registry


def public(kind: type) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(value)
    }


@pytest.mark.parametrize(
    ("kind", "asynchronous", "left_out"),
    [
        (Registry, AsyncRegistry, {"now"}),  # never waits
        (Queries, AsyncRegistry, set()),
        (Galleries, AsyncGalleries, set()),
        (Models, AsyncModels, set()),
    ],
)
def test_every_method_has_a_twin_of_the_same_name_and_arguments(
    kind: type, asynchronous: type, left_out: set[str]
) -> None:
    for name in set(public(kind)) - left_out:
        assert name in vars(asynchronous), f"registry/aio.py lacks {kind.__name__}.{name}"
        ours, theirs = vars(asynchronous)[name], vars(kind)[name]
        assert inspect.iscoroutinefunction(ours) or inspect.isasyncgenfunction(ours), name
        assert (
            inspect.signature(ours).parameters.keys() == inspect.signature(theirs).parameters.keys()
        )
        assert ours.__doc__, name


def test_answers_are_those_of_the_registry(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, home: Path
) -> None:
    async def ask() -> None:
        async with opened(home) as r:
            hits = await r.search(shop, asked(v1, [3, 5]), k=2)
            assert hits.ids[:, 0].tolist() == [3, 5]
            assert (await r.models.get("products@2")).ref == v2.ref
            assert (await r.galleries.state(shop)).query_version.ref == v1.ref
            (stored,) = await r.galleries.vectors(shop, np.array([4, 2]))
            assert stored.ids.tolist() == [4, 2]
            compared = await r.galleries.vectors(
                shop, np.array([4]), as_of="products@2", require_certified=False
            )
            assert compared.dims.tolist() == [8]
            assert (await r.comparable(v2.ref, v1.ref)).contract is not None
            assert (await r.explain(shop, asked(v1, [3]), k=1)).hits[0].id == 3
            scores = (await r.compare(asked(v1, [1]), asked(v1, [1]), pairwise=True)).scores
            assert scores.tolist() == pytest.approx([1])
            assert await r.run(lambda sync: sync.promotions.history(shop)) != ()
            assert r.sync.actor == "async"

    asyncio.run(ask())


def test_errors_come_through(registry: Registry, shop: str, v2: ModelVersion, home: Path) -> None:
    async def ask() -> None:
        async with opened(home) as r:
            with pytest.raises(SpaceMismatchError, match="is queried by products@1"):
                await r.search(shop, asked(v2, [1]))
            with pytest.raises(NotFoundError):
                await r.galleries.get("other")
            with pytest.raises(SpaceMismatchError):
                await anext(r.search_batch(shop, asked(v2, [1])))

    asyncio.run(ask())


def test_blocks_of_a_batch_are_awaited(
    registry: Registry, shop: str, v1: ModelVersion, home: Path
) -> None:
    async def ask() -> list[Hits]:
        async with opened(home) as r:
            return [hits async for hits in r.search_batch(shop, asked(v1, range(7)), 2, block=3)]

    found = asyncio.run(ask())
    assert [len(hits) for hits in found] == [3, 3, 1]
    assert Hits.concatenated(found).ids[:, 0].tolist() == list(range(7))


def test_many_tasks_ask_while_a_thread_adds_and_promotes(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, home: Path
) -> None:
    """Whatever a task finds is complete: item 0 stays, and every item that was added is found."""
    done: list[int] = []

    def change() -> None:
        with Registry.open(home, actor="thread") as other:
            for item in range(100, 106):
                other.add("shop", embedded(v1, [item]))
                done.append(item)
            other.promote("shop", v2.ref, PromotionOptions(waiver="a test"))

    async def ask(r: AsyncRegistry, task: int) -> int:
        before = list(done)
        try:
            items = [0, *before[-1:]]
            hits = await r.search("shop", asked(v1, items), k=1)
        except SpaceMismatchError:
            hits = await r.search("shop", asked(v2, items), k=1)
        assert hits.ids[:, 0].tolist() == items
        return task

    async def run() -> list[int]:
        answered: list[int] = []
        async with opened(home, threads=4) as r:
            thread = Thread(target=change)
            thread.start()
            while thread.is_alive():
                answered += await asyncio.gather(*(ask(r, task) for task in range(12)))
            thread.join()
            assert (await r.galleries.state("shop")).query_version.ref == v2.ref
            answered += await asyncio.gather(*(ask(r, task) for task in range(12)))
        return answered

    assert len(asyncio.run(run())) >= 24
    assert done == list(range(100, 106))


def test_the_event_loop_never_waits(registry: Registry, home: Path) -> None:
    """Another coroutine goes on while a call takes its time, and lets it end."""
    release = Event()

    async def run() -> tuple[bool, str]:
        async with opened(home) as r:
            slow = asyncio.create_task(r.run(lambda _: (release.wait(20), current_thread().name)))
            await asyncio.sleep(0)
            release.set()
            return await slow

    was_released, thread = asyncio.run(run())
    assert was_released
    assert thread.startswith("samespace")


def test_a_call_sees_the_context_that_it_was_made_in(registry: Registry, home: Path) -> None:
    request: ContextVar[str] = ContextVar("request", default="none")

    async def run() -> str:
        async with opened(home) as r:
            request.set("of Zoë")
            return await r.run(lambda _: request.get())

    assert asyncio.run(run()) == "of Zoë"


def test_a_cancelled_call_is_over_only_when_its_thread_is(registry: Registry, home: Path) -> None:
    entered, release, steps = Event(), Event(), []

    def work(_: Registry) -> None:
        entered.set()
        release.wait(20)
        steps.append("work is done")

    async def run() -> None:
        async with opened(home) as r:
            task = asyncio.create_task(r.run(work))
            await asyncio.to_thread(entered.wait, 20)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()  # impatience does not help
            await asyncio.sleep(0)
            assert not task.done()
            release.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            steps.append("task is over")

    asyncio.run(run())
    assert steps == ["work is done", "task is over"]


def test_a_cancelled_write_is_there_as_a_whole(
    registry: Registry, shop: str, v1: ModelVersion, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = Event()
    add = Galleries.add

    def noticed(self: Galleries, name: str, items: Any) -> Any:
        entered.set()
        return add(self, name, items)

    monkeypatch.setattr(Galleries, "add", noticed)

    async def run() -> int:
        async with opened(home) as r:
            task = asyncio.create_task(r.add(shop, embedded(v1, range(50, 60))))
            await asyncio.to_thread(entered.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return (await r.galleries.get(shop)).n_items

    assert asyncio.run(run()) == 30
    assert registry.find_tampering() == ()


def test_a_cancelled_call_that_waits_for_its_turn_is_never_made(
    registry: Registry, home: Path
) -> None:
    release = Event()
    made: list[Registry] = []

    async def run() -> None:
        async with opened(home, threads=1) as r:
            first = asyncio.create_task(r.run(lambda _: release.wait(20)))
            await asyncio.sleep(0)
            second = asyncio.create_task(r.run(made.append))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            release.set()
            assert await first

    asyncio.run(run())
    assert made == []


def test_an_error_of_a_cancelled_call_is_heard_by_nobody(registry: Registry, home: Path) -> None:
    """Else asyncio complains of an exception that was never retrieved."""
    entered, release, complaints = Event(), Event(), []

    def work(_: Registry) -> None:
        entered.set()
        release.wait(20)
        raise NotFoundError("too late")

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        async with opened(home) as r:
            task = asyncio.create_task(r.run(work))
            await asyncio.to_thread(entered.wait, 20)
            task.cancel()
            await asyncio.sleep(0)
            release.set()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert complaints == []


@pytest.mark.parametrize("ask", [lambda r: r.run(lambda _: 1), lambda r: r.galleries.list()])
def test_after_closing_nothing_is_asked_any_more(
    registry: Registry, home: Path, ask: Callable[[AsyncRegistry], Any]
) -> None:
    async def run() -> None:
        async with opened(home) as r:
            pass
        with pytest.raises(RuntimeError, match="shutdown"):
            await ask(r)
        await r.close()

    asyncio.run(run())
