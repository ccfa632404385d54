import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from registry import Embeddings, IndexSpec, Metric, ModelVersion, Registry, VersionRef
from registry.artifacts import digest_artifact
from registry.domain.events import EventKind
from registry.domain.galleries import SegmentState
from registry.errors import (
    AlreadyExistsError,
    ConflictError,
    CorruptFileError,
    DigestMismatchError,
    DimensionMismatchError,
    InvalidInputError,
    NotFoundError,
    SegmentStateError,
    SpaceMismatchError,
)
from registry.galleries import storage
from registry.galleries.litter import remove_unnamed
from registry.service import additions, deletions, sealing
from registry.service import files as stored_files
from registry.service.context import Context
from registry.service.registration import keep_artifact
from tests.conftest import declared
from tests.registry.service.builders import (
    Site,
    artifact,
    asked,
    embedded,
    found_ids,
    on_sqlite,
    vectors_of,
)


def files_of(registry: Registry) -> set[str]:
    root = registry.storage / "galleries"
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}


def part_paths(registry: Registry, gallery: str) -> list[Path]:
    segments = registry.galleries.get(gallery).segments
    return [registry.storage / part.file.path for s in segments for part in s.parts]


# --- creating


def test_a_gallery_begins_empty_and_is_queried_by_its_first_version(
    registry: Registry, v1: ModelVersion
) -> None:
    made = registry.galleries.create("shop", v1.ref, metric=Metric.L2, index=IndexSpec("exact"))
    assert registry.galleries.get("shop") == made
    assert registry.galleries.list() == (made,)
    assert (made.metric, made.n_items, made.id_type) == (Metric.L2, 0, None)
    serving = registry.galleries.state("shop").serving
    assert (serving.query_version, serving.write_versions) == (1, (1,))


def test_a_gallery_may_be_made_with_an_alias(registry: Registry, v1: ModelVersion) -> None:
    registry.galleries.create("shop", "products@1")
    registry.galleries.create("window", "products:champion")
    assert registry.galleries.state("window").query_version == v1


def test_what_cannot_be_a_gallery_is_refused(registry: Registry, v1: ModelVersion) -> None:
    registry.galleries.create("shop", v1.ref)
    before = registry.audit()
    bad: list[tuple[type[Exception], Callable[[], object], str]] = [
        (AlreadyExistsError, lambda: registry.galleries.create("shop", v1.ref), "already"),
        (InvalidInputError, lambda: registry.galleries.create("../x", v1.ref), "cannot name"),
        (NotFoundError, lambda: registry.galleries.create("a", "products@9"), "products@9"),
        (NotFoundError, lambda: registry.galleries.create("a", "nothing@1"), "nothing"),
        (
            NotFoundError,
            lambda: registry.galleries.create("a", v1.ref, index=IndexSpec("fais")),
            "fais",
        ),
        (
            InvalidInputError,
            lambda: registry.galleries.create("a", v1.ref, index=IndexSpec("faiss", "Flatt")),
            "Flatt",
        ),
    ]
    for error, step, says in bad:
        with pytest.raises(error, match=says):
            step()
    assert [g.name for g in registry.galleries.list()] == ["shop"]
    assert registry.audit() == before


def test_an_unknown_gallery_comes_with_near_matches(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    ids = np.array([1])
    steps: list[Callable[[str], object]] = [
        registry.galleries.get,
        registry.galleries.state,
        registry.galleries.seal,
        registry.galleries.verify_files,
        registry.certificates.of_gallery,
        registry.promotions.history,
        lambda name: registry.galleries.readers(name, v1.ref),
        lambda name: registry.add(name, embedded(v1, [1])),
        lambda name: registry.galleries.delete(name, ids),
        lambda name: registry.search(name, asked(v1, [1]), 1),
        lambda name: registry.promote(name, v1.ref),
        registry.rollback,
    ]
    for step in steps:
        with pytest.raises(NotFoundError, match="no gallery is named 'shp'") as caught:
            step("shp")
        assert "did you mean 'shop'?" in str(caught.value.hint)


# --- adding and finding


def test_what_was_added_is_found_and_labelled(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    hits = registry.search(shop, asked(v1, [3, 17]), 4)
    assert hits.ids[:, 0].tolist() == [3, 17]
    assert np.allclose(hits.scores[:, 0], 1, atol=1e-6)
    assert (np.diff(hits.scores, axis=1) <= 0).all()
    assert (hits.versions == 1).all()
    assert found_ids(registry, shop, v1) == set(range(20))
    assert registry.galleries.get(shop).versions() == (v1.ref,)


def test_an_add_says_what_it_did(registry: Registry, shop: str, v1: ModelVersion) -> None:
    added = registry.add(shop, embedded(v1, [20, 21]))
    assert (added.gallery, added.segment, added.version) == (shop, 1, v1.ref)
    assert (added.n_items, added.n_items_after) == (2, 22)
    event = registry.audit("gallery:shop")[-1]
    assert event.kind is EventKind.ITEMS_ADDED
    assert event.payload["n_items"] == 2
    assert event.actor == "tester"


def test_string_ids(registry: Registry, v1: ModelVersion) -> None:
    names = ["zoë", "模型", "", "a\nb", "A", "a"]
    registry.galleries.create("shop", v1.ref)
    registry.add("shop", embedded(v1, names))
    assert registry.search("shop", asked(v1, ["模型"]), 1).ids.tolist() == [["模型"]]
    assert found_ids(registry, "shop", v1) == set(names)
    registry.galleries.seal("shop")
    assert registry.galleries.delete("shop", np.array(["a", ""], dtype=object)) == 2
    assert found_ids(registry, "shop", v1) == {"zoë", "模型", "a\nb", "A"}


@pytest.mark.parametrize("given", ["int", "str"])
def test_ids_of_the_other_type_are_refused(
    registry: Registry, v1: ModelVersion, given: str
) -> None:
    registry.galleries.create("shop", v1.ref)
    texts, numbers = embedded(v1, ["1", "2"]), embedded(v1, [3, 4])
    first, second = (numbers, texts) if given == "int" else (texts, numbers)
    registry.add("shop", first)
    with pytest.raises(InvalidInputError, match="names items by"):
        registry.add("shop", second)
    with pytest.raises(NotFoundError):
        registry.galleries.delete("shop", second.ids)
    assert registry.galleries.get("shop").n_items == 2


def test_duplicate_ids_are_refused_wherever_the_first_one_is(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    with pytest.raises(InvalidInputError, match="more than once in the batch"):
        embedded(v1, [50, 51, 50])
    with pytest.raises(AlreadyExistsError, match=r"1 of 3 ids .* for example 7$") as caught:
        registry.add(shop, embedded(v1, [50, 7, 51]))
    assert "nothing was added" in str(caught.value.hint)
    registry.galleries.seal(shop)
    registry.add(shop, embedded(v1, [20]))
    with pytest.raises(AlreadyExistsError):
        registry.add(shop, embedded(v1, [7]))  # in a sealed segment
    with pytest.raises(AlreadyExistsError):
        registry.add(shop, embedded(v1, [20]))  # in an open one
    registry.promote(shop, v2.ref, waived())
    with pytest.raises(AlreadyExistsError):
        registry.add(shop, embedded(v2, [7]))  # made by another version
    assert registry.galleries.get(shop).n_items == 21
    registry.add(shop, embedded(v2, [50, 51]))


def waived(**more: Any) -> Any:
    from registry import PromotionOptions

    return PromotionOptions(waiver="a test", **more)


def test_a_batch_is_added_whole_or_not_at_all(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    before, files = registry.audit(), files_of(registry)
    with pytest.raises(AlreadyExistsError):
        registry.add(shop, embedded(v1, [*range(100, 200), 5]))
    assert registry.audit() == before
    assert files_of(registry) == files
    assert found_ids(registry, shop, v1) == set(range(20))


# --- what is refused


def test_bad_vectors_are_refused(v1: ModelVersion) -> None:
    good = vectors_of([1, 2, 3], v1)
    ids = np.arange(3)

    def broken(value: float) -> np.ndarray[Any, Any]:
        bad = good.copy()
        bad[1, 2] = value
        return bad

    bad: list[tuple[Any, type[Exception], str]] = [
        (broken(np.nan), InvalidInputError, "NaN or Inf, first in row 1"),
        (broken(np.inf), InvalidInputError, "NaN or Inf"),
        (broken(-np.inf), InvalidInputError, "NaN or Inf"),
        (good.astype(np.float64), InvalidInputError, "float32 but are float64"),
        (good.astype(np.float16), InvalidInputError, "float32 but are float16"),
        (np.asfortranarray(good), InvalidInputError, "contiguous"),
        (np.repeat(good, 2, axis=0)[::2], InvalidInputError, "contiguous"),
        (good[:, :7].copy(), DimensionMismatchError, "7 dimensions but their version has 8"),
        (good.ravel(), InvalidInputError, "shape"),
        (good.tolist(), InvalidInputError, "array"),
    ]
    for vectors, error, says in bad:
        with pytest.raises(error, match=says):
            Embeddings(ids, vectors, v1)
    with pytest.raises(InvalidInputError, match=r"shape \(3,\)"):
        Embeddings(np.arange(2), good, v1)


def test_zero_vectors_are_refused_under_cosine_only(registry: Registry, v1: ModelVersion) -> None:
    zero = vectors_of([1, 2], v1)
    zero[1] = 0
    items = Embeddings(np.array([1, 2]), zero, v1)
    registry.galleries.create("cosine", v1.ref)
    with pytest.raises(InvalidInputError, match="all zero, first in row 1"):
        registry.add("cosine", items)
    assert files_of(registry) == set()
    registry.add("cosine", embedded(v1, [1]))
    with pytest.raises(InvalidInputError, match="all zero"):
        registry.search("cosine", items, 1)
    for metric in (Metric.L2, Metric.INNER_PRODUCT):
        registry.galleries.create(metric.value, v1.ref, metric=metric)
        registry.add(metric.value, items)
        assert len(registry.search(metric.value, items, 2)) == 2


def test_no_items_no_queries_and_no_k_are_refused(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    nothing = Embeddings(np.empty(0, np.int64), np.empty((0, 8), np.float32), v1)
    with pytest.raises(InvalidInputError, match="no items to add"):
        registry.add(shop, nothing)
    with pytest.raises(InvalidInputError, match="no queries"):
        registry.search(shop, nothing)
    before = registry.audit()
    with pytest.raises(InvalidInputError, match="no items to delete"):
        registry.galleries.delete(shop, np.empty(0, np.int64))
    assert registry.audit() == before
    for k, says in ((0, "at least 1"), (-1, "at least 1"), (21, "only 20 items")):
        with pytest.raises(InvalidInputError, match=says):
            registry.search(shop, asked(v1, [1]), k)
    registry.galleries.create("empty", v1.ref)
    with pytest.raises(InvalidInputError, match="no items to search"):
        registry.search("empty", asked(v1, [1]), 1)


def test_items_of_a_version_that_may_not_write_are_refused(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    twin = declared(registry, "products", "a twin of the same dimension")
    stranger = declared(registry, "faces", "another line")
    for version in (twin, stranger):
        with pytest.raises(SpaceMismatchError, match="takes items of products@1, not of") as c:
            registry.add(shop, embedded(version, [50]))
        assert "samespace certify" in str(c.value.hint)
    assert registry.galleries.get(shop).n_items == 20


def test_vectors_with_another_fingerprint_are_refused(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    forged = replace(v1, fingerprint="declared:" + "0" * 64)
    with pytest.raises(SpaceMismatchError, match="carry another fingerprint"):
        registry.add(shop, embedded(forged, [50]))
    with pytest.raises(SpaceMismatchError, match="carry another fingerprint"):
        registry.search(shop, asked(forged, [1]), 1)
    assert registry.galleries.get(shop).n_items == 20


def test_a_query_of_a_version_not_in_force_is_refused(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    with pytest.raises(SpaceMismatchError, match="queried by products@1, not by products@2"):
        registry.search(shop, asked(v2, [1]), 1)
    registry.promote(shop, v2.ref, waived())
    with pytest.raises(SpaceMismatchError, match="queried by products@2, not by products@1"):
        registry.search(shop, asked(v1, [1]), 1)


def spread(rng: np.random.Generator, n: int, turn: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Vectors with strong and weak directions, as embeddings have them."""
    scale = np.linspace(3, 0.05, 64)
    return np.ascontiguousarray((rng.normal(size=(n, 64)) * scale @ turn).astype(np.float32))


@pytest.mark.parametrize("batch", [300, 100])
@on_sqlite
def test_a_batch_of_another_model_of_the_same_dimension_is_noticed(
    registry: Registry, rng: np.random.Generator, batch: int
) -> None:
    version = declared(registry, "texts", "one", dim=64)
    registry.galleries.create("docs", version.ref)
    here, there = np.eye(64), np.linalg.qr(rng.normal(size=(64, 64)))[0]
    for start in range(0, 600, batch):  # also where no batch alone could show the space
        ids = np.arange(start, min(start + batch, 600))
        registry.add("docs", Embeddings(ids, spread(rng, len(ids), here), version))
    more = Embeddings(np.arange(1000, 1300), spread(rng, 300, here), version)
    other = Embeddings(np.arange(2000, 2300), spread(rng, 300, there), version)
    registry.add("docs", more)
    before = registry.audit(), files_of(registry)
    with pytest.raises(SpaceMismatchError, match="do not look like those of texts@1") as caught:
        registry.add("docs", other)
    assert "--trust-space" in str(caught.value.hint)
    assert (registry.audit(), files_of(registry)) == before
    registry.galleries.add("docs", other, trust_space=True)
    assert registry.galleries.get("docs").n_items == 1200


# --- sealing


def test_a_sealed_segment_stays_and_a_new_one_opens(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    assert [s.number for s in registry.galleries.check_seal(shop)] == [1]
    before = registry.search(shop, asked(v1, range(20)), 20)
    (sealed,) = registry.galleries.seal(shop)
    assert sealed.state is SegmentState.SEALED
    assert sealed.index is not None
    after = registry.search(shop, asked(v1, range(20)), 20)
    assert np.array_equal(after.ids, before.ids)
    assert np.allclose(after.scores, before.scores, atol=1e-6)
    with pytest.raises(SegmentStateError, match="no open segment") as caught:
        registry.galleries.seal(shop)
    assert "add items" in str(caught.value.hint)
    assert registry.add(shop, embedded(v1, [20])).segment == 2
    assert registry.add(shop, embedded(v1, [21])).segment == 2
    assert found_ids(registry, shop, v1) == set(range(22))
    assert [s.number for s in registry.galleries.seal(shop)] == [2]
    assert registry.galleries.verify_files(shop) == 5
    assert [s.state for s in registry.galleries.get(shop).segments] == [SegmentState.SEALED] * 2


def test_sealing_an_empty_gallery_is_refused(registry: Registry, v1: ModelVersion) -> None:
    registry.galleries.create("empty", v1.ref)
    for step in (registry.galleries.seal, registry.galleries.check_seal):
        with pytest.raises(SegmentStateError):
            step("empty")


@on_sqlite
def test_an_index_that_cannot_be_built_leaves_the_segment_open(
    registry: Registry, v1: ModelVersion
) -> None:
    registry.galleries.create("shop", v1.ref, index=IndexSpec("faiss", "IVF256,Flat"))
    registry.add("shop", embedded(v1, range(20)))
    files = files_of(registry)
    with pytest.raises(InvalidInputError, match="too few to train"):
        registry.galleries.seal("shop")
    assert files_of(registry) == files
    assert found_ids(registry, "shop", v1) == set(range(20))
    registry.add("shop", embedded(v1, [20]))


def test_items_added_while_an_index_is_built_make_it_a_conflict(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    state = registry.galleries.state(shop)
    with site.open() as other:
        other.add(shop, embedded(v1, [20]))
    files = files_of(registry)
    with pytest.raises(ConflictError, match="changed while it was indexed") as caught:
        sealing.seal_segment(registry._context, registry._views, state, state.gallery.segments[0])
    assert caught.value.hint == "seal again"
    assert files_of(registry) == files, "the index that nobody names is gone"
    registry.galleries.seal(shop)
    with pytest.raises(ConflictError):  # sealed meanwhile
        sealing.seal_segment(registry._context, registry._views, state, state.gallery.segments[0])


def test_items_deleted_while_an_index_is_built_do_not_matter(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    state = registry.galleries.state(shop)
    with site.open() as other:
        other.galleries.delete(shop, np.array([3]))
    sealing.seal_segment(registry._context, registry._views, state, state.gallery.segments[0])
    assert found_ids(registry, shop, v1) == set(range(20)) - {3}


# --- deleting


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_deleted_item_is_gone_and_its_id_is_free(
    registry: Registry, shop: str, v1: ModelVersion, is_sealed: bool
) -> None:
    if is_sealed:
        registry.galleries.seal(shop)
    assert registry.galleries.check_delete(shop, np.array([3, 4])) == 2
    assert found_ids(registry, shop, v1) == set(range(20))
    assert registry.galleries.delete(shop, np.array([3, 4])) == 2
    assert found_ids(registry, shop, v1) == set(range(20)) - {3, 4}
    assert registry.galleries.get(shop).n_items == 18
    with pytest.raises(InvalidInputError, match="only 18 items"):
        registry.search(shop, asked(v1, [1]), 19)
    with pytest.raises(NotFoundError, match=r"1 of 2 ids .* for example 3$") as caught:
        registry.galleries.delete(shop, np.array([3, 5]))
    assert caught.value.hint == "nothing was deleted"
    assert 5 in found_ids(registry, shop, v1)
    registry.add(shop, embedded(v1, [3]))
    assert found_ids(registry, shop, v1) == set(range(20)) - {4}
    assert registry.galleries.delete(shop, np.array([3])) == 1
    assert 3 not in found_ids(registry, shop, v1)
    assert registry.audit("gallery:shop")[-1].kind is EventKind.ITEMS_DELETED


def test_everything_may_be_deleted(registry: Registry, shop: str, v1: ModelVersion) -> None:
    registry.galleries.seal(shop)
    registry.add(shop, embedded(v1, [20]))
    registry.galleries.delete(shop, np.arange(21))
    assert registry.galleries.get(shop).versions() == ()
    with pytest.raises(InvalidInputError, match="no items to search"):
        registry.search(shop, asked(v1, [1]), 1)
    registry.add(shop, embedded(v1, [5]))
    assert found_ids(registry, shop, v1) == {5}
    registry.galleries.seal(shop)
    assert found_ids(registry, shop, v1) == {5}


@on_sqlite
def test_bad_ids_to_delete_are_refused(registry: Registry, shop: str) -> None:
    bad: list[Any] = [np.array([1.0]), np.array([1, 1]), np.array([[1]]), [1], np.array([True])]
    for ids in bad:
        with pytest.raises(InvalidInputError):
            registry.galleries.delete(shop, ids)
    assert registry.galleries.get(shop).n_items == 20


def test_two_who_delete_the_same_item_do_not_both_succeed(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    located = deletions.locate(registry._context, registry._views, shop, np.array([3]))
    with site.open() as other:
        other.galleries.delete(shop, np.array([3]))
    with pytest.raises(ConflictError):
        deletions.commit_deletions(registry._context, shop, located)
    assert registry.galleries.get(shop).n_items == 19
    assert registry.find_tampering() == ()


# --- two registries in one place


def test_another_open_registry_sees_every_change_at_once(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    with site.open(actor="other") as other:
        assert found_ids(other, shop, v1) == set(range(20))
        registry.add(shop, embedded(v1, [20]))
        assert 20 in found_ids(other, shop, v1)
        other.galleries.delete(shop, np.array([7]))
        assert 7 not in found_ids(registry, shop, v1)
        registry.galleries.seal(shop)
        assert found_ids(other, shop, v1) == found_ids(registry, shop, v1)
        with pytest.raises(AlreadyExistsError):
            other.add(shop, embedded(v1, [20]))
        other.add(shop, embedded(v1, [7]))
        assert 7 in found_ids(registry, shop, v1)
        assert other.audit() == registry.audit()


def test_an_id_that_another_one_added_after_the_check_is_refused_at_the_commit(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    items = embedded(v1, [50, 51])
    state = registry.galleries.check_add(shop, items)
    file = additions.write_part(registry._context, state, items)
    with site.open() as other:
        other.add(shop, embedded(v1, [51, 52]))
    with pytest.raises(AlreadyExistsError, match="51"):
        additions.commit_part(registry._context, registry._views, state, items, file)
    assert found_ids(registry, shop, v1) == {*range(20), 51, 52}
    assert not (registry.storage / file.path).exists()


def test_a_version_that_lost_the_right_to_write_is_refused_at_the_commit(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, site: Site
) -> None:
    items = embedded(v1, [50])
    state = registry.galleries.check_add(shop, items)
    file = additions.write_part(registry._context, state, items)
    with site.open() as other:
        other.promote(shop, v2.ref, waived())
    with pytest.raises(SpaceMismatchError, match="takes items of products@2"):
        additions.commit_part(registry._context, registry._views, state, items, file)
    assert registry.galleries.get(shop).n_items == 20


def test_the_first_items_of_two_registries_must_have_one_type_of_id(
    registry: Registry, v1: ModelVersion, site: Site
) -> None:
    registry.galleries.create("shop", v1.ref)
    items = embedded(v1, [1])
    state = registry.galleries.check_add("shop", items)
    file = additions.write_part(registry._context, state, items)
    with site.open() as other:
        other.add("shop", embedded(v1, ["one"]))
    with pytest.raises(InvalidInputError, match="names items by string"):
        additions.commit_part(registry._context, registry._views, state, items, file)


def test_a_segment_as_it_was_is_opened_without_what_came_later(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    state = registry.galleries.state(shop)
    with site.open() as other:
        other.add(shop, embedded(v1, [20, 21]))
        other.galleries.delete(shop, np.array([21, 3]))  # 21 is not of the segment as it was
    reader = registry._views.reader(state, state.gallery.segments[0])
    assert reader.n_rows == 20
    assert 3 not in reader.take_ids(reader.live_positions()).tolist()
    assert found_ids(registry, shop, v1) == {*range(21)} - {3}


def test_threads_search_while_another_one_writes_in_every_way(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    faults: list[BaseException] = []
    is_done = False
    queries = asked(v1, range(10))

    def search() -> None:
        try:
            while not is_done:
                hits = registry.search(shop, queries, 5)
                assert hits.ids[:, 0].tolist() == list(range(10)), "10 to 19 come and go"
        except BaseException as error:  # noqa: BLE001 -- told to the test below
            faults.append(error)

    threads = [Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(8):
            registry.add(shop, embedded(v1, [100 + number]))
            registry.galleries.delete(shop, np.array([10 + number]))
            registry.galleries.upsert(shop, embedded(v1, [number]))
            if number % 3 == 2:
                registry.galleries.seal(shop)
            if number % 4 == 3:
                registry.galleries.compact(shop)
            if number % 4 == 2:
                registry.galleries.erase(shop, np.array([10 + number]), "a test")
    finally:
        is_done = True
        for thread in threads:
            thread.join()
    assert faults == []
    assert found_ids(registry, shop, v1) == {*range(10), 18, 19, *range(100, 108)}


def test_many_threads_add_at_once(registry: Registry, shop: str, v1: ModelVersion) -> None:
    faults: list[BaseException] = []

    def add(number: int) -> None:
        try:
            registry.add(shop, embedded(v1, [1000 + number]))
        except BaseException as error:  # noqa: BLE001 -- told to the test below
            faults.append(error)

    threads = [Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert found_ids(registry, shop, v1) == {*range(20), *range(1000, 1020)}
    assert registry.find_tampering() == ()


# --- reading


def test_readers_give_the_live_vectors_of_one_version(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.seal(shop)
    registry.add(shop, embedded(v1, [20]))
    assert [r.n_items for r in registry.galleries.readers(shop, v1.ref)] == [20, 1]
    assert registry.galleries.readers(shop, v2.ref) == ()
    with pytest.raises(NotFoundError, match="products@9"):
        registry.galleries.readers(shop, VersionRef("products", 9))


# --- files that were changed


def change(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("which", ["part", "index"])
@pytest.mark.parametrize("harm", [change, truncate, remove])
@on_sqlite
def test_a_harmed_file_is_noticed_before_it_is_read(
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    site: Site,
    which: str,
    harm: Callable[[Path], None],
) -> None:
    (sealed,) = registry.galleries.seal(shop)
    assert sealed.index is not None
    file = sealed.index if which == "index" else sealed.parts[0].file
    harm(registry.storage / file.path)
    error = CorruptFileError if harm is remove else DigestMismatchError
    with site.open() as other:
        for step in (
            lambda: other.galleries.verify_files(shop),
            lambda: other.search(shop, asked(v1, [1]), 1),
            lambda: other.add(shop, embedded(v1, [50])),
            lambda: other.galleries.delete(shop, np.array([3])),
        ):
            with pytest.raises(error, match=r"\.arrow|\.index") as caught:
                step()
            assert "backup" in str(caught.value.hint)
        assert other.galleries.get(shop).n_items == 20


@on_sqlite
def test_a_file_under_another_digest_is_never_parsed(
    registry: Registry, shop: str, v1: ModelVersion, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.galleries.seal(shop)
    change(part_paths(registry, shop)[0])

    def parse(*_: object, **__: object) -> None:
        raise AssertionError("parsed before its digest was known to be right")

    monkeypatch.setattr(storage, "read_arrow", parse)
    with site.open() as other, pytest.raises(DigestMismatchError):
        other.search(shop, asked(v1, [1]), 1)


# --- litter


def test_litter_is_found_and_pruned_and_nothing_else(
    site: Site, v1: ModelVersion, registry: Registry, shop: str
) -> None:
    registry.galleries.seal(shop)
    named = files_of(registry)
    (registry.storage / "galleries" / shop / "parts" / "left.arrow").write_bytes(b"x")
    (registry.storage / "galleries" / shop / "parts" / ".left.arrow.1.tmp").write_bytes(b"x")
    (registry.storage / "certificates" / "left.parquet").write_bytes(b"x")
    with site.open() as now:  # by the real clock, as the files are
        assert now.galleries.litter() == (), "young files may be about to be named"
        found = now.galleries.litter(older_than_hours=-0.01)
        assert len(found) == 3
        assert now.galleries.prune(found) == (), "young files may be about to be named"
        given = [*found, *(f"galleries/{name}" for name in named), "samespace.db", "galleries"]
        removed = now.galleries.prune([*given, "../outside"], older_than_hours=-0.01)
        assert removed == found
        assert now.galleries.litter(older_than_hours=-0.01) == ()
    assert files_of(registry) == named, "what a row names is never pruned"
    assert (registry.storage / "galleries").is_dir()


@on_sqlite
def test_folders_of_named_models_are_never_pruned(site: Site, tmp_path: Path) -> None:
    with site.open() as now:
        version = now.register("m", artifact(tmp_path / "made")).version
        left = artifact(now.storage / "models" / "m" / ".left", seed=1)
        found = now.galleries.litter(older_than_hours=-0.01)
        assert found == ("models/m/.left",)
        assert version.artifact_path is not None
        inside = f"{version.artifact_path}/model.json"
        given = [*found, version.artifact_path, f"{version.artifact_path}/", inside]
        given += ["models", "models/m", "models/m/", "samespace.db", "../home"]
        assert now.galleries.prune(given, older_than_hours=-0.01) == found
        assert not left.exists()
        assert (now.storage / "samespace.db").is_file()
        assert now.models.artifact_directory(version).is_dir()


@on_sqlite
@pytest.mark.parametrize("look", [1, 2, 3])
def test_what_is_registered_while_it_is_pruned_stays(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    """Its folder is named between two looks at the database, the last one after it was moved."""
    with site.open() as now, site.open() as other:
        made = artifact(tmp_path / "made")
        left = now.storage / keep_artifact(now._context, "m", made, digest_artifact(made))
        found = now.galleries.litter(older_than_hours=-0.01)
        assert found == (left.relative_to(now.storage).as_posix(),)
        names, looks = stored_files.named_paths, []

        def named(context: Context) -> frozenset[str]:
            looks.append(left.exists())
            if len(looks) == look:
                other.register("m", made)
            return names(context)

        monkeypatch.setattr(stored_files, "named_paths", named)
        removed = now.galleries.prune(found, older_than_hours=-0.01)
        assert looks == [True, True, False][:look]
        assert removed == ()
        version = other.models.get("m@1")
        assert other.models.artifact_directory(version) == left
        assert [path.name for path in left.parent.iterdir()] == [left.name]


@on_sqlite
@pytest.mark.parametrize("harm", ["named", "young", "interrupted"])
def test_what_was_set_aside_too_early_comes_back(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    with site.open() as now:
        made = artifact(tmp_path / "made")
        left = now.storage / keep_artifact(now._context, "m", made, digest_artifact(made))
        (relative,) = found = now.galleries.litter(older_than_hours=-0.01)
        before = time.time() + 36

        def named() -> frozenset[str]:
            if left.exists():
                return frozenset()
            (_aside,) = left.parent.iterdir()
            if harm == "interrupted":
                raise KeyboardInterrupt
            return frozenset(found if harm == "named" else ())

        rename = Path.rename

        def slow(path: Path, target: Path) -> Path:
            if harm == "young" and path == left:
                os.utime(path, (before + 9, before + 9))
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", slow)
        with pytest.raises(KeyboardInterrupt) if harm == "interrupted" else nullcontext():
            assert not remove_unnamed(now.storage, relative, named, modified_before=before)
        assert digest_artifact(left) == digest_artifact(made)
        assert [path.name for path in left.parent.iterdir()] == [left.name]


@on_sqlite
def test_a_link_is_removed_and_not_what_it_leads_to(
    site: Site, registry: Registry, shop: str
) -> None:
    folder = registry.storage / "galleries" / shop / "parts"
    (part,) = folder.iterdir()
    (folder / "link.arrow").symlink_to(part)
    with site.open() as now:
        found = now.galleries.litter(older_than_hours=-0.01)
        assert now.galleries.prune(found, older_than_hours=-0.01) == found
        assert list(folder.iterdir()) == [part]
        assert now.galleries.verify_files(shop) == 1


@on_sqlite
def test_a_model_that_is_registered_again_is_young_again(site: Site, tmp_path: Path) -> None:
    """Its folder was left by an interrupted registration, and is about to be named."""
    with site.open() as now:
        made = artifact(tmp_path / "made")
        left = now.storage / keep_artifact(now._context, "m", made, digest_artifact(made))
        for path in (*left.iterdir(), left):
            os.utime(path, (0, 0))
        assert now.galleries.litter() == (left.relative_to(now.storage).as_posix(),)
        keep_artifact(now._context, "m", made, digest_artifact(made))
        assert now.galleries.litter() == ()
