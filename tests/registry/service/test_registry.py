import errno
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from registry import ModelVersion, Registry
from registry.db.session import write
from registry.domain.events import EventKind
from registry.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotARegistryError,
    SamespaceError,
    StorageError,
)
from tests.conftest import declared
from tests.registry.service.builders import Site, asked, certify, embedded, found_ids, on_sqlite

# --- opening and creating


def test_a_registry_is_made_once(site: Site) -> None:
    with pytest.raises(AlreadyExistsError, match="there is a registry in"):
        Registry.create(site.where, storage=Path(site.storage))


def test_what_is_missing_is_made_and_the_rest_left_alone(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    with Registry.create(tmp_path / "new") as made:
        assert made.storage == tmp_path / "new"
        assert made.models.list() == ()
    names = sorted(p.name for p in (tmp_path / "new").iterdir())
    assert names == ["certificates", "galleries", "mine.txt", "models", "probes", "samespace.db"]


def test_files_may_lie_elsewhere(tmp_path: Path) -> None:
    where, storage = tmp_path / "database", tmp_path / "files"
    where.mkdir()
    Registry.create(where, storage=storage).close()
    assert sorted(p.name for p in where.iterdir()) == ["samespace.db"]
    for name in (where, f"sqlite:///{where / 'samespace.db'}"):
        with Registry.open(name, storage=storage) as opened:
            assert opened.storage == storage


def test_a_relative_folder_stays_the_same_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Registry.create("here") as made:
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        version = declared(made, "m", "x")
        made.galleries.create("shop", version.ref)
        made.add("shop", embedded(version, [1]))
        assert found_ids(made, "shop", version) == {1}
    assert (tmp_path / "here" / "galleries" / "shop").is_dir()


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write to"):
        Registry.create(tmp_path / "file" / "below")
    with pytest.raises(StorageError, match="cannot write to"):
        Registry.create(tmp_path / "file")


def test_a_file_is_no_registry(tmp_path: Path) -> None:
    (tmp_path / "samespace.db").mkdir()
    with pytest.raises(NotARegistryError, match="no samespace registry in") as caught:
        Registry.open(tmp_path)
    assert "samespace init" in str(caught.value.hint)


def test_who_asks_is_written_down(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.open(actor="zoë") as opened:
        assert opened.actor == "zoë"
        assert declared(opened, "m", "x").created_by == "zoë"
    monkeypatch.setenv("SAMESPACE_ACTOR", "ci")
    with Registry.open(site.where, storage=Path(site.storage)) as opened:
        declared(opened, "m", "y")
        assert [event.actor for event in opened.audit()] == ["zoë", "ci"]


def test_a_closed_registry_can_be_closed_again(site: Site) -> None:
    opened = site.open()
    opened.close()
    opened.close()


# --- audit and tampering


def test_the_audit_tells_all_streams_in_order(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.galleries.seal(shop)
    kinds = [event.kind for event in registry.audit()]
    assert kinds == [
        EventKind.VERSION_REGISTERED,
        EventKind.GALLERY_CREATED,
        EventKind.ITEMS_ADDED,
        EventKind.VERSION_REGISTERED,
        EventKind.CONTRACT_DECLARED,
        EventKind.CONTRACT_DECLARED,
        EventKind.CERTIFICATE_RECORDED,
        EventKind.PROMOTED,
        EventKind.SEGMENT_SEALED,
    ]
    assert [e.sequence for e in registry.audit("gallery:shop")] == [1, 2]
    assert registry.audit("gallery:other") == ()
    assert registry.find_tampering() == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("SET payload = replace(payload, 'dim', 'dom')", "event 3: was changed"),
        ("SET payload = 'no json'", "event 3: was changed"),
        ("SET actor = 'somebody else'", "event 3: was changed"),
        ("SET kind = 'promoted'", "event 3: was changed"),
        ("SET kind = 'nonsense'", "event 3: was changed"),
        ("SET at = '2020-01-01T00:00:00.000000+00:00'", "event 3: was changed"),
        ("SET at = 'yesterday'", "event 3: was changed"),
        ("SET hash = 'x'", "event 3: was changed"),
        ("SET previous_hash = 'x'", "event 3: does not follow"),
        ("SET sequence = 99", "event 3 is missing"),
    ],
)
def test_a_changed_event_is_found(
    registry: Registry, shop: str, v2: ModelVersion, change: str, says: str
) -> None:
    with write(registry._context.engine) as connection:
        where = "WHERE stream = 'model:products' AND sequence = 3"
        assert connection.execute(text(f"UPDATE events {change} {where}")).rowcount == 1
    (found,) = registry.find_tampering()
    assert "model:products" in found
    assert says in found


def test_a_removed_event_is_found(registry: Registry, shop: str, v2: ModelVersion) -> None:
    with write(registry._context.engine) as connection:
        connection.execute(text("DELETE FROM events WHERE sequence = 2 AND stream LIKE 'model:%'"))
    assert "event 2 is missing" in registry.find_tampering()[0]


def test_an_event_that_cannot_be_read_stops_what_rests_on_it_in_one_line(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    with write(registry._context.engine) as connection:
        connection.execute(text("UPDATE events SET payload = '{' WHERE kind = 'gallery-created'"))
    with site.open() as other:
        steps: list[Callable[[], object]] = [
            other.audit,
            lambda: other.search(shop, asked(v1, [1]), 1),
            lambda: other.add(shop, embedded(v1, [50])),
            lambda: other.models.aliases("products"),
        ]
        for step in steps:
            with pytest.raises(SamespaceError, match="was changed after it was written"):
                step()


@pytest.mark.parametrize("hours", [-7, 0, 5])
@on_sqlite
def test_a_clock_of_another_time_zone_breaks_no_chain(site: Site, hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    with site.open(clock=lambda: datetime(2026, 5, 3, 12, tzinfo=zone)) as opened:
        made = declared(opened, "m", "x")
        opened.galleries.create("shop", made.ref)
        assert opened.find_tampering() == ()
        assert opened.audit()[0].at == datetime(2026, 5, 3, 12, tzinfo=zone)


# --- disks that refuse, and interrupts


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only_disk(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


STEPS: dict[str, Callable[[Registry, ModelVersion], object]] = {
    "add": lambda r, v1: r.add("shop", embedded(v1, [50])),
    "seal": lambda r, _: r.galleries.seal("shop"),
}


@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize(
    ("target", "harm", "says"),
    [
        ("os.fsync", full_disk, "free some space"),
        ("pathlib.Path.mkdir", read_only_disk, "read-only"),
        ("pathlib.Path.rename", full_disk, "free some space"),
    ],
)
@on_sqlite
def test_a_disk_that_refuses_changes_nothing(  # noqa: PLR0917
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    target: str,
    harm: Callable[..., None],
    says: str,
) -> None:
    before = registry.audit()
    files = sorted(registry.storage.rglob("*.*"))
    with monkeypatch.context() as patched:
        patched.setattr(target, harm)
        with pytest.raises(StorageError, match=r"No space left|Read-only") as caught:
            STEPS[step](registry, v1)
    assert says in str(caught.value.hint)
    assert registry.audit() == before
    assert sorted(registry.storage.rglob("*.*")) == files
    assert found_ids(registry, shop, v1) == set(range(20))
    STEPS[step](registry, v1)


class Interrupted(BaseException):
    """As KeyboardInterrupt, which pytest would take for its own."""


@pytest.mark.parametrize("step", ["add", "seal", "certify"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_at_the_commit_never_removes_a_file_that_a_row_names(  # noqa: PLR0917
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    v2: ModelVersion,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    when: str,
) -> None:
    steps: dict[str, Callable[[Registry, ModelVersion], object]] = {
        **STEPS,
        "certify": lambda r, _: certify(r, "shop", v2.ref, v1.ref),
    }
    dialect: Any = registry._context.engine.dialect
    commit = dialect.do_commit

    def interrupt(connection: Any) -> None:
        if when == "after":
            commit(connection)
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(dialect, "do_commit", interrupt)
        with pytest.raises(Interrupted):
            steps[step](registry, v1)
    with site.open() as other:
        other.galleries.verify_files(shop)
        assert other.find_tampering() == ()
        items = set(range(20)) | ({50} if (step, when) == ("add", "after") else set())
        assert found_ids(other, shop, v1) == items
        assert len(other.certificates.of_gallery(shop)) == (when == "after" and step == "certify")
        litter = other.galleries.litter(older_than_hours=-0.01)
        assert len(litter) == (when == "before"), "nobody can be sure: it is left for prune"
        assert other.galleries.prune(litter, older_than_hours=-0.01) == litter
        other.galleries.verify_files(shop)


def test_the_shortcuts_do_what_their_long_forms_do(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    assert registry.promote(shop, v2.ref).after == v2.ref
    assert registry.rollback(shop).after == v1.ref
    hits = registry.search(shop, asked(v1, [4]))
    assert hits.ids.shape == (1, 10)
    assert len(hits) == 1
    assert hits.ids.dtype == np.int64
    with pytest.raises(InvalidInputError):
        registry.search(shop, asked(v1, [4]), 0)
