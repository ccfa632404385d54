from collections.abc import Callable
from threading import Thread
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from registry import ModelVersion, PromotionOptions, Registry
from registry.db import events, galleries
from registry.db.session import read, write
from registry.domain.events import gallery_stream, model_stream
from registry.errors import SamespaceError
from registry.galleries import segments, storage
from registry.service.views import read_state
from tests.conftest import declared
from tests.registry.service.builders import Site, asked, certify, embedded, found_ids, on_sqlite


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the parts that are opened from now on."""
    paths: list[str] = []
    open_part = storage.open_part

    def note(root: Any, file: Any) -> Any:
        paths.append(file.path)
        return open_part(root, file)

    monkeypatch.setattr(segments, "open_part", note)
    return paths


def test_a_view_lasts_until_something_happens(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    view = registry._views.current(shop)
    assert registry._views.current(shop) is view
    registry.search(shop, asked(v1, [1]), 1)
    assert registry._views.current(shop) is view
    registry.galleries.check_add(shop, embedded(v1, [50]))
    assert registry._views.current(shop) is view


@pytest.mark.parametrize(
    "step",
    [
        lambda r, v1, _: r.add("shop", embedded(v1, [50])),
        lambda r, *_: r.galleries.delete("shop", np.array([1])),
        lambda r, *_: r.galleries.seal("shop"),
        lambda r, _, v2: r.promote("shop", v2.ref, PromotionOptions(waiver="a test")),
        lambda r, v1, v2: certify(r, "shop", v2.ref, v1.ref),
    ],
)
def test_any_event_of_the_gallery_or_its_line_makes_a_new_view(
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    v2: ModelVersion,
    site: Site,
    step: Callable[[Registry, ModelVersion, ModelVersion], object],
) -> None:
    view = registry._views.current(shop)
    with site.open() as other:
        step(other, v1, v2)
    now = registry._views.current(shop)
    assert now is not view
    assert now.state == registry.galleries.state(shop)


def test_what_happens_in_another_gallery_of_another_line_does_not(
    registry: Registry, shop: str
) -> None:
    far = declared(registry, "faces", "far")
    view = registry._views.current(shop)
    registry.galleries.create("people", far.ref)
    registry.add("people", embedded(far, [1]))
    assert registry._views.current(shop) is view


def test_each_part_is_opened_and_digested_once(
    registry: Registry, v1: ModelVersion, v2: ModelVersion, opened: list[str]
) -> None:
    registry.galleries.create("shop", v1.ref)
    for number in range(4):
        registry.add("shop", embedded(v1, [number]))
        assert found_ids(registry, "shop", v1) == set(range(number + 1))
    registry.galleries.delete("shop", np.array([0]))
    registry.galleries.seal("shop")
    registry.add("shop", embedded(v1, [10]))
    registry.promote("shop", v2.ref, PromotionOptions(waiver="a test"))
    assert found_ids(registry, "shop", v2) == {1, 2, 3, 10}
    assert len(opened) == len(set(opened)) == 5


def test_a_promotion_opens_no_file(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, opened: list[str]
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.rollback(shop)
    assert opened == []


def test_a_state_is_of_one_moment(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    """If rows and heads were of two moments, a view could be stale and never notice."""
    with read(registry._context.engine) as connection:
        before = galleries.get_gallery(connection, shop)
        with site.open() as other:
            other.add(shop, embedded(v1, [50]))
        state = read_state(connection, shop)
        heads = events.heads(connection, gallery_stream(shop), model_stream("products"))
    assert state.gallery == before
    assert state.heads == heads
    assert registry.galleries.state(shop).heads[0] == heads[0] + 1


def test_what_is_searched_is_of_one_moment(
    registry: Registry, shop: str, v1: ModelVersion, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item that is deleted after another one was added must not be gone before that one came."""
    get_gallery, calls = galleries.get_gallery, []

    def meanwhile(connection: Any, name: str) -> Any:
        calls.append(name)
        if len(calls) == 2:  # the state was read, and now its segment is opened
            with site.open() as other:
                other.add(shop, embedded(v1, [100]))
                other.galleries.delete(shop, np.array([1]))
        return get_gallery(connection, name)

    monkeypatch.setattr(galleries, "get_gallery", meanwhile)
    assert _searched(registry) == set(range(20))
    assert _searched(registry) == {0, *range(2, 20), 100}


def test_a_segment_that_somebody_opened_later_is_not_taken_for_that_of_an_earlier_moment(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    with read(registry._context.engine) as connection:
        state = read_state(connection, shop)
        with site.open() as other:
            other.galleries.delete(shop, np.array([1]))
        (late,) = registry.galleries.readers_of(state, v1.ref)
        assert late.n_items == 19
        (segment,) = state.gallery.segments
        assert registry._views.reader(shop, segment, v1, connection).n_items == 20


def _searched(registry: Registry) -> set[Any]:
    view = registry._views.current("shop")
    return {
        item
        for target in view.targets
        for item in target.reader.take_ids(target.reader.live_positions()).tolist()
    }


def test_nobody_promotes_while_somebody_adds(
    registry: Registry, v1: ModelVersion, unrelated: ModelVersion, site: Site
) -> None:
    """Else an item could arrive in a gallery whose basis was worked out without it."""
    registry.galleries.create("shop", v1.ref)
    outcome: list[object] = []

    def promote() -> None:
        with site.open() as other:
            try:
                outcome.append(other.promote("shop", unrelated.ref))
            except Exception as error:  # noqa: BLE001 -- told to the test below
                outcome.append(error)

    with write(registry._context.engine) as connection:
        galleries.lock_gallery(connection, "shop")
        thread = Thread(target=promote)
        thread.start()
        thread.join(0.4)
        assert thread.is_alive(), "it waits"
        assert outcome == []
    thread.join(20)
    assert not isinstance(outcome[0], Exception)
    registry.add("shop", embedded(unrelated, [1]))
    assert found_ids(registry, "shop", unrelated) == {1}


@on_sqlite
def test_counts_of_commits_of_two_connections_are_never_mixed_up(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    """SQLite's counter is each connection's own: after a reconnect it may show an old number."""
    registry.galleries.create("window", v1.ref)
    registry.add("window", embedded(v1, [1]))
    watch, engine = registry._context.watch, registry._context.engine
    for _ in range(2):
        found_ids(registry, shop, v1), found_ids(registry, "window", v1)
    pooled = [engine.connect() for _ in range(2)]
    for connection in pooled:
        connection.execute(text("SELECT count(*) FROM events")).all()
        connection.rollback()
    for connection in reversed(pooled):
        connection.close()
    with site.open() as other:
        other.add(shop, embedded(v1, [900]))
    with pytest.raises(SamespaceError):
        watch.ask(text("SELECT nonsense"), {})
    found_ids(registry, "window", v1)  # it opens another connection
    assert 900 in found_ids(registry, shop, v1)
