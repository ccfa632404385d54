"""One registry, asked by many threads while others change it: every answer is of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from threading import Event, Thread

import numpy as np

from registry import Embeddings, ModelVersion, PromotionOptions, Registry
from registry.errors import SpaceMismatchError
from tests.registry.service.builders import Site, asked, embedded, vector_of

K = 16
DIMS = {1: 8, 2: 12}
Answer = tuple[tuple[int, int], ...]  # id and version of each hit
Change = Callable[[Registry], object]
Asked = Callable[[Registry, Embeddings], Answer | None]


@dataclass(frozen=True)
class Moment:
    """What a gallery holds, as items and their versions, and the version that queries it."""

    items: frozenset[tuple[int, int]]
    query_version: int


START = Moment(frozenset((item, 1) for item in range(20)), 1)


@cache
def expected(moment: Moment, asking: int, query: int) -> Answer | None:
    """What a search finds at a moment, or None if it is refused."""
    if asking != moment.query_version:
        return None
    scored = []
    for item, version in moment.items:
        dims = min(DIMS[asking], DIMS[version])
        a, b = vector_of(query, dims), vector_of(item, dims)
        scored.append((-(a @ b) / np.linalg.norm(a) / np.linalg.norm(b), item, version))
    return tuple((item, version) for _, item, version in sorted(scored)[:K])


@dataclass
class History:
    """Which moments there were, and how far the writer has come."""

    moments: list[Moment]
    begun: int = 0
    done: int = 0
    over: Event = field(default_factory=Event)
    n_answers: int = 0
    wrong: list[str] = field(default_factory=list)

    def observe(self, ask: Asked, registry: Registry, version: ModelVersion, query: int) -> None:
        """Ask once: the answer must be that of a moment between asking and answering."""
        first = self.done
        found = ask(registry, asked(version, [query]))
        possible = self.moments[first : self.begun + 1]
        if found not in [expected(moment, version.ref.number, query) for moment in possible]:
            self.wrong.append(f"{found} is of none of the {len(possible)} moments since {first}")
        self.n_answers += found is not None


def adding(version: ModelVersion, item: int) -> Change:
    return lambda registry: registry.add("shop", embedded(version, [item]))


def deleting(item: int) -> Change:
    return lambda registry: registry.galleries.delete("shop", np.array([item]))


def promoting(version: ModelVersion) -> Change:
    options = PromotionOptions(waiver="a test", keep_writers=True)
    return lambda registry: registry.promote("shop", version.ref, options)


def steps(v1: ModelVersion, v2: ModelVersion) -> Iterator[tuple[Change, Moment]]:
    """Changes, each with the moment after it. Replaced items are added before they are deleted."""
    items = set(START.items)
    for turn in range(2):
        old, new = (100 + turn, 1), (200 + turn, 2)
        items.add(old)
        yield adding(v1, old[0]), Moment(frozenset(items), 1)
        items.remove((turn, 1))
        yield deleting(turn), Moment(frozenset(items), 1)
        yield promoting(v2), Moment(frozenset(items), 2)
        items.add(new)
        yield adding(v2, new[0]), Moment(frozenset(items), 2)
        items.remove(old)
        yield deleting(old[0]), Moment(frozenset(items), 2)
        yield lambda registry: registry.galleries.seal("shop"), Moment(frozenset(items), 2)
        items.remove(new)
        yield deleting(new[0]), Moment(frozenset(items), 2)
        yield lambda registry: registry.rollback("shop"), Moment(frozenset(items), 1)
        items.add((turn, 1))
        yield adding(v1, turn), Moment(frozenset(items), 1)


def searched(registry: Registry, queries: Embeddings) -> Answer | None:
    try:
        hits = registry.search("shop", queries, K)
    except SpaceMismatchError:
        return None
    return tuple(zip(hits.ids[0].tolist(), hits.versions[0].tolist(), strict=True))


def explained(registry: Registry, queries: Embeddings) -> Answer | None:
    try:
        found = registry.explain("shop", queries, k=K)
    except SpaceMismatchError:
        return None
    return tuple((int(hit.id), hit.version.number) for hit in found.hits)


def test_every_answer_is_of_one_moment(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, site: Site
) -> None:
    changes = list(steps(v1, v2))
    history = History([START, *(moment for _, moment in changes)])

    def look(query: int, ask: Asked, asked_of: Registry) -> None:
        try:
            while not history.over.wait(0.002):
                for version in (v1, v2):
                    history.observe(ask, asked_of, version, query)
        except Exception as error:  # noqa: BLE001 -- told to the test
            history.wrong.append(f"{type(error).__name__}: {error}")

    with ExitStack() as stack:
        other = stack.enter_context(site.open())
        seats = ((searched, registry), (explained, registry), (searched, other))
        threads = [Thread(target=look, args=(300, *seat)) for seat in seats]
        for thread in threads:
            thread.start()
        try:
            for change, _ in changes:
                history.begun += 1
                change(registry)
                history.done += 1
        finally:
            history.over.set()
            for thread in threads:
                thread.join(30)
    assert history.wrong[:1] == []
    assert history.n_answers > len(changes)
    assert registry.find_tampering() == ()
