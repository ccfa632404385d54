from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import Embeddings, IndexSpec, ModelVersion, Registry
from registry.domain.events import EventKind
from registry.domain.galleries import SegmentState
from registry.domain.liveness import describe_index
from registry.errors import ConflictError, DigestMismatchError, InvalidInputError
from registry.galleries import replacement
from registry.service import compaction
from registry.service.rewriting import Rewriter
from tests.registry.service import attacker
from tests.registry.service.builders import (
    Site,
    asked,
    certify,
    embedded,
    found_ids,
    on_sqlite,
    refused_removal,
)

HNSW = IndexSpec("faiss", "HNSW8,Flat")


def content(registry: Registry, version: ModelVersion) -> dict[Any, bytes]:
    """Every live id with the bytes of its vector."""
    found: dict[Any, bytes] = {}
    for reader in registry.galleries.readers("shop", version.ref):
        vectors = np.concatenate([block for _, block in reader.blocks()])
        live = reader.live_positions()
        ids = reader.take_ids(live).tolist()
        found |= {item: vectors[row].tobytes() for item, row in zip(ids, live, strict=True)}
    return found


def disk(registry: Registry) -> set[str]:
    root = registry.storage
    return {p.relative_to(root).as_posix() for p in (root / "galleries").rglob("*") if p.is_file()}


def named(registry: Registry) -> set[str]:
    segments = registry.galleries.get("shop").segments
    return {file.path for segment in segments for file in segment.files}


def scatter(registry: Registry, version: ModelVersion, *, sealed: bool) -> None:
    """Four parts, some rows deleted, some superseded."""
    registry.add("shop", embedded(version, [30, 31]))
    registry.add("shop", embedded(version, [32]))
    registry.galleries.upsert("shop", embedded(version, [3, 30, 33]))
    registry.galleries.delete("shop", np.array([0, 32]))
    if sealed:
        registry.galleries.seal("shop")


@pytest.mark.parametrize("is_sealed", [False, True])
def test_parts_become_one_and_live_items_stay_bit_for_bit(
    registry: Registry, shop: str, v1: ModelVersion, is_sealed: bool
) -> None:
    scatter(registry, v1, sealed=is_sealed)
    before, hits = content(registry, v1), registry.search(shop, asked(v1, range(5)), 22)
    planned = registry.galleries.check_compact(shop)
    assert content(registry, v1) == before
    done = registry.galleries.compact(shop)
    (step,), (segment,) = done.segments, registry.galleries.get(shop).segments
    assert (step.n_parts, step.n_dropped, step.n_items) == (4, 4, 22)
    assert [s.number for s in planned.segments] == [1]
    assert step.n_bytes_after is not None
    assert step.n_bytes_after < step.n_bytes
    assert (len(segment.parts), segment.n_rows, segment.n_deleted) == (1, 22, 0)
    assert (segment.generation, segment.n_dropped, segment.n_ever) == (2, 4, 26)
    assert segment.state is (SegmentState.SEALED if is_sealed else SegmentState.OPEN)
    assert (segment.index is not None) == is_sealed
    assert content(registry, v1) == before
    after = registry.search(shop, asked(v1, range(5)), 22)
    assert np.array_equal(after.ids, hits.ids)
    np.testing.assert_allclose(after.scores, hits.scores, atol=1e-6)
    assert disk(registry) == named(registry), "old files are gone"
    assert registry.galleries.verify_files(shop) == 1 + is_sealed
    assert registry.integrity.find_replaced(shop) == ()
    assert registry.audit("gallery:shop")[-1].kind is EventKind.SEGMENT_COMPACTED


@on_sqlite
def test_what_is_compact_is_left_alone(registry: Registry, shop: str, v1: ModelVersion) -> None:
    registry.galleries.seal(shop)
    before = registry.audit(), named(registry)
    assert registry.galleries.compact(shop).segments == ()
    assert (registry.audit(), named(registry)) == before


def test_life_goes_on_after_it(registry: Registry, shop: str, v1: ModelVersion) -> None:
    scatter(registry, v1, sealed=False)
    registry.galleries.compact(shop)
    registry.add(shop, embedded(v1, [0, 40]))
    registry.galleries.delete(shop, np.array([5]))
    registry.galleries.upsert(shop, embedded(v1, [6]))
    assert found_ids(registry, shop, v1) == {*range(20), 30, 31, 33, 40} - {5}
    registry.galleries.compact(shop)
    registry.galleries.seal(shop)
    assert registry.galleries.compact(shop).segments == ()
    assert found_ids(registry, shop, v1) == {*range(20), 30, 31, 33, 40} - {5}
    (segment,) = registry.galleries.get(shop).segments
    assert (segment.generation, segment.n_ever) == (3, 29)
    assert registry.integrity.find_replaced(shop) == ()
    assert disk(registry) == named(registry)


@on_sqlite
def test_nothing_may_be_left(registry: Registry, shop: str, v1: ModelVersion) -> None:
    registry.galleries.seal(shop)
    registry.galleries.delete(shop, np.arange(20))
    registry.galleries.compact(shop)
    (segment,) = registry.galleries.get(shop).segments
    assert (segment.files, segment.n_ever, segment.state) == ((), 20, SegmentState.SEALED)
    assert disk(registry) == set()
    registry.add(shop, embedded(v1, [3]))
    assert found_ids(registry, shop, v1) == {3}
    assert registry.galleries.get(shop).id_type is not None
    assert registry.integrity.find_replaced(shop) == ()


@on_sqlite
def test_string_ids(registry: Registry, v1: ModelVersion) -> None:
    registry.galleries.create("shop", v1.ref)
    for name in ("zoë", "模型", "", "a\nb"):
        registry.add("shop", embedded(v1, [name]))
    registry.galleries.delete("shop", np.array([""], dtype=object))
    before = content(registry, v1)
    registry.galleries.compact("shop")
    assert content(registry, v1) == before
    assert set(before) == {"zoë", "模型", "a\nb"}


@on_sqlite
def test_rows_are_copied_in_batches_of_bounded_size(
    registry: Registry, shop: str, v1: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacement, "_BATCH_BYTES", 4 * 8 * 5)
    odd = np.full((3, 8), -0.0, np.float32)
    odd[:, 0] = [1e-42, -1, 1e16]  # a denormal number and negative zeros stay what they are
    registry.add(shop, Embeddings(np.arange(100, 103), odd, v1))
    scatter(registry, v1, sealed=False)
    before = content(registry, v1)
    registry.galleries.compact(shop)
    assert content(registry, v1) == before
    (reader,) = registry.galleries.readers(shop, v1.ref)
    assert [len(block) for _, block in reader.blocks()] == [5] * 5


# --- certificates


def test_no_certificate_ages_by_it_and_none_grows_younger(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    """Rows that went are counted on: what came since was not measured, before and after."""
    digest = certify(registry, shop, v2.ref, v1.ref)
    registry.galleries.upsert(shop, embedded(v1, [3, 4]))  # two new rows of 20: a tenth
    assert registry.certificates.state(digest).staleness is None
    registry.galleries.compact(shop)
    assert registry.certificates.state(digest).staleness is None
    registry.galleries.upsert(shop, embedded(v1, [5]))
    said = registry.certificates.state(digest).staleness
    assert said is not None
    assert "3 items came that were not among the 20 measured ones" in said
    registry.galleries.compact(shop)
    assert registry.certificates.state(digest).staleness == said
    again = certify(registry, shop, v2.ref, v1.ref)
    assert registry.certificates.get(again).n_gallery_rows == 23
    assert registry.certificates.state(again).staleness is None
    registry.promote(shop, v2.ref)


@on_sqlite
def test_an_exact_index_may_be_built_again_under_a_certificate(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.seal(shop)
    gallery = registry.galleries.get(shop)
    digest = certify(registry, shop, v2.ref, v1.ref, index=describe_index(gallery, v1.ref))
    registry.galleries.delete(shop, np.array([3]))
    (step,) = registry.galleries.compact(shop).segments
    assert step.is_index_rebuilt
    assert registry.certificates.state(digest).staleness is None


@pytest.fixture
def graph(registry: Registry, v1: ModelVersion) -> str:
    """A sealed segment of two parts with an approximate index."""
    registry.galleries.create("shop", v1.ref, index=HNSW)
    registry.add("shop", embedded(v1, range(10)))
    registry.add("shop", embedded(v1, range(10, 20)))
    registry.galleries.seal("shop")
    return "shop"


@on_sqlite
def test_an_approximate_index_of_the_same_rows_is_kept_byte_for_byte(
    registry: Registry, graph: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    gallery = registry.galleries.get(graph)
    digest = certify(registry, graph, v2.ref, v1.ref, index=describe_index(gallery, v1.ref))
    (step,) = registry.galleries.compact(graph).segments
    assert not step.is_index_rebuilt
    (before,), (after,) = gallery.segments, registry.galleries.get(graph).segments
    assert before.index is not None
    assert after.index is not None
    assert after.index.digest == before.index.digest
    assert after.index.path != before.index.path
    assert registry.certificates.state(digest).staleness is None
    assert found_ids(registry, graph, v1) == set(range(20))
    assert disk(registry) == named(registry)


@on_sqlite
def test_an_approximate_index_is_built_again_only_if_that_is_wanted(
    registry: Registry, graph: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    gallery = registry.galleries.get(graph)
    digest = certify(registry, graph, v2.ref, v1.ref, index=describe_index(gallery, v1.ref))
    registry.galleries.delete(graph, np.array([3]))
    done = registry.galleries.compact(graph)
    assert (done.segments, done.kept) == ((), (1,))
    assert registry.certificates.state(digest).staleness is None
    done = registry.galleries.compact(graph, rebuild_indexes=True)
    assert ([s.is_index_rebuilt for s in done.segments], done.kept) == ([True], ())
    assert registry.certificates.state(digest).staleness == (
        "an approximate index was built after it was measured"
    )
    assert found_ids(registry, graph, v1) == set(range(20)) - {3}


@on_sqlite
def test_a_file_system_without_links_copies(
    registry: Registry, graph: str, v1: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    (before,) = registry.galleries.get(graph).segments
    registry.galleries.compact(graph)
    (after,) = registry.galleries.get(graph).segments
    assert before.index is not None
    assert after.index is not None
    assert after.index.digest == before.index.digest
    assert registry.galleries.verify_files(graph) == 2


@on_sqlite
def test_an_index_that_cannot_be_built_leaves_everything_as_it_was(
    registry: Registry, v1: ModelVersion
) -> None:
    registry.galleries.create("shop", v1.ref, index=IndexSpec("faiss", "IVF16,Flat"))
    registry.add("shop", embedded(v1, range(20)))
    registry.galleries.seal("shop")
    registry.galleries.delete("shop", np.arange(10))
    before = disk(registry), registry.galleries.get("shop")
    with pytest.raises(InvalidInputError, match="too few to train"):
        registry.galleries.compact("shop", rebuild_indexes=True)
    assert (disk(registry), registry.galleries.get("shop")) == before


# --- others at the same moment


def compact_late(registry: Registry, step: Any) -> None:
    """Compact, and let somebody else do something once the files are written."""
    rewrite = Rewriter.rewrite

    with pytest.MonkeyPatch.context() as patch:

        def slow(*args: Any, **options: Any) -> Any:
            found = rewrite(*args, **options)
            patch.undo()  # the other one is not slow
            step()
            return found

        patch.setattr(Rewriter, "rewrite", slow)
        registry.galleries.compact("shop")


@pytest.mark.parametrize("what", ["add", "delete", "seal", "compact"])
@on_sqlite
def test_a_segment_that_changes_meanwhile_is_not_compacted(
    registry: Registry, shop: str, v1: ModelVersion, site: Site, what: str
) -> None:
    registry.add(shop, embedded(v1, [30]))
    with site.open() as other:
        steps = {
            "add": lambda: other.add(shop, embedded(v1, [40])),
            "delete": lambda: other.galleries.delete(shop, np.array([4])),
            "seal": lambda: other.galleries.seal(shop),
            "compact": lambda: other.galleries.compact(shop),
        }
        with pytest.raises(ConflictError, match="changed while it was written anew") as caught:
            compact_late(registry, steps[what])
        assert "try again" in str(caught.value.hint)
        assert disk(registry) == named(registry), "the files that nobody names are gone"
        expected = {*range(20), 30} | ({40} if what == "add" else set())
        assert found_ids(registry, shop, v1) == expected - ({4} if what == "delete" else set())


@on_sqlite
def test_a_file_that_was_pruned_before_it_was_named_is_a_conflict(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    """An index may take hours to build, and then the part before it looks like litter."""
    registry.add(shop, embedded(v1, [30]))

    def prune() -> None:
        with site.open() as other:
            found = other.galleries.litter(older_than_hours=-1)
            assert len(other.galleries.prune(found, older_than_hours=-1)) == 1

    with pytest.raises(ConflictError, match="was removed before it was committed"):
        compact_late(registry, prune)
    assert found_ids(registry, shop, v1) == {*range(20), 30}


@on_sqlite
def test_who_has_the_gallery_open_goes_on(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    scatter(registry, v1, sealed=True)
    with site.open() as other:
        view = other._views.current(shop)
        before = other.search(shop, asked(v1, [5, 30]), 22)
        registry.galleries.compact(shop)
        (target,) = view.targets
        rows = target.reader.live_positions()
        assert len(target.reader.take_ids(rows)) == 22, "what is mapped stays readable"
        after = other.search(shop, asked(v1, [5, 30]), 22)
        assert np.array_equal(after.ids, before.ids)
        assert other._views.current(shop) is not view


def test_who_opens_a_segment_that_is_just_replaced_opens_the_new_one(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    registry.add(shop, embedded(v1, [30]))
    with site.open() as other:
        state = other.galleries.state(shop)
        with replaced_between(other, registry):
            assert found_ids(other, shop, v1) == {*range(20), 30}
        with pytest.raises(ConflictError, match="segment 1 of 'shop' was written anew") as caught:
            Registry(other._context)._views.reader(state, state.gallery.segments[0])
        assert caught.value.hint == "try again"


@contextmanager
def replaced_between(reader: Registry, writer: Registry) -> Iterator[None]:
    """Let the writer compact once the reader has read rows, and before he opens their files."""
    opened = reader._views._opened

    def late(*args: Any) -> Any:
        writer.galleries.compact("shop")
        return opened(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader._views, "_opened", late)
        yield


@on_sqlite
def test_files_are_verified_again_if_they_were_just_replaced(
    registry: Registry, shop: str, v1: ModelVersion, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add(shop, embedded(v1, [30]))
    from registry.galleries import storage

    verify = storage.verify_file
    calls: list[Any] = []

    def late(*args: Any) -> Path:
        calls.append(args)
        if len(calls) == 1:
            with site.open() as other:
                other.galleries.compact(shop)
        return verify(*args)

    with site.open() as reader:
        monkeypatch.setattr(storage, "verify_file", late)
        assert reader.galleries.verify_files(shop) == 1
    assert len(calls) > 1


# --- crashes and damage


@on_sqlite
def test_old_files_that_could_not_be_removed_are_litter(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    registry.add(shop, embedded(v1, [30]))
    old = named(registry)
    with refused_removal():
        done = registry.galleries.compact(shop)
    assert done.left == dict.fromkeys(old, "Operation not permitted")
    assert found_ids(registry, shop, v1) == {*range(20), 30}
    assert set(registry.galleries.litter(older_than_hours=-1e6)) == old
    assert registry.galleries.resume_erasure(shop, dry_run=True) == tuple(sorted(old))
    assert set(registry.galleries.prune(old, older_than_hours=-1e6)) == old
    assert found_ids(registry, shop, v1) == {*range(20), 30}


@on_sqlite
def test_a_damaged_part_is_not_compacted(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    registry.add(shop, embedded(v1, [30]))
    path = registry.storage / registry.galleries.get(shop).segments[0].parts[1].file.path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with site.open() as other, pytest.raises(DigestMismatchError, match="not the file that was"):
        other.galleries.compact(shop)
    assert len(registry.galleries.get(shop).segments[0].parts) == 2


@on_sqlite
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE segments SET n_dropped = 3 WHERE generation = 2", "3 rows are said to be gone"),
        ("UPDATE segments SET generation = 3 WHERE generation = 2", "it is of generation 3"),
        ("UPDATE parts SET digest = 'f' WHERE segment_id = 2", "part 1 is not the one"),
        (
            "INSERT INTO deletions SELECT 2, 0, created_at, 'x' FROM segments WHERE id = 2",
            "1 items are marked as deleted, but 0 were",
        ),
    ],
)
def test_what_is_changed_in_a_generation_is_named(
    registry: Registry, shop: str, v1: ModelVersion, site: Site, change: str, says: str
) -> None:
    registry.add(shop, embedded(v1, [30]))
    registry.galleries.delete(shop, np.array([3]))
    registry.galleries.compact(shop)
    assert attacker.complaints(registry, shop) == ""
    with attacker.database(Path(site.storage)) as connection:
        assert connection.execute(change).rowcount == 1
    assert says in attacker.complaints(registry, shop)


@on_sqlite
def test_memory_of_a_generation_is_let_go(registry: Registry, shop: str, v1: ModelVersion) -> None:
    registry.add(shop, embedded(v1, [30]))
    registry._views.current(shop)
    assert len(registry._views._readers) == 1
    registry.galleries.compact(shop)
    assert registry._views._readers == {}
    assert registry._views._views == {}


@on_sqlite
def test_a_plan_says_what_is_done(registry: Registry, shop: str, v1: ModelVersion) -> None:
    scatter(registry, v1, sealed=False)
    plan = registry.galleries.check_compact(shop)
    assert plan == compaction.plan_compaction(registry.galleries.get(shop), rebuild=False)
    assert [(s.n_parts, s.n_dropped, s.n_bytes_after) for s in plan.segments] == [(4, 4, None)]
