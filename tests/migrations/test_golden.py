"""A golden registry of every released revision is upgraded to the present one, and then used."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from alembic.script import ScriptDirectory

from registry import Contract, ContractKind, PromotionOptions, Registry
from registry.db import schema
from registry.domain.events import EventKind
from registry.service import upgrade_database
from tests.migrations.create_golden import FAR
from tests.registry.service.builders import asked, certify, compatible, embedded, found_ids

ASSETS = Path(__file__).parent / "assets"
REVISIONS = sorted(path.stem for path in ASSETS.glob("*.db"))


def test_every_revision_has_its_golden_registry() -> None:
    scripts = ScriptDirectory.from_config(schema._config()).walk_revisions()
    assert sorted(script.revision for script in scripts) == REVISIONS


def test_the_assets_are_small() -> None:
    assert sum(p.stat().st_size for p in ASSETS.rglob("*") if p.is_file()) < 200_000 * len(
        REVISIONS
    )


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def golden(revision: str, tmp_path: Path) -> Path:
    folder = tmp_path / "golden"
    shutil.copytree(ASSETS / revision, folder)
    shutil.copy(ASSETS / f"{revision}.db", folder / "samespace.db")
    assert upgrade_database(folder) == (revision, schema.head_revision())
    return folder


def test_it_is_read_as_it_was_written(golden: Path, revision: str) -> None:
    with Registry.open(golden) as registry:
        assert registry.find_tampering() == ()
        assert registry.galleries.verify_files("shop") == 4
        assert registry.galleries.verify_files("names") == 1
        kinds = {event.kind for event in registry.audit()}
        later = {EventKind.SLOTS_ASSIGNED} if revision == "0001" else set()
        assert kinds == set(EventKind) - later
        assert [str(v.ref) for v in registry.models.list()] == [
            "products@1",
            "products@2",
            "tiny@1",
        ]
        first, second = registry.models.list("products")
        assert registry.models.contract(second.ref, first.ref) == Contract(ContractKind.PREFIX, 8)
        assert [s.query_version for s in registry.promotions.history("shop")] == [1, 2]
        assert [c.staleness for c in registry.certificates.of_gallery("shop")] == [None, None]
        for state in registry.certificates.of_gallery("shop"):
            assert registry.certificates.get(state.certificate.digest) == state.certificate
        tiny = registry.models.get("tiny:champion")
        assert tiny.training == {"epochs": 3}
        registry.models.artifact_directory(tiny)
        assert registry.galleries.litter(older_than_hours=-1) == ()


def test_it_is_used(golden: Path) -> None:
    with Registry.open(golden, actor="later") as registry:
        first, second = registry.models.list("products")
        live = {*range(20), 100} - {3}
        assert found_ids(registry, "shop", second) == live
        hits = registry.search("shop", asked(second, [5, 15, 100]), 1)
        assert hits.ids.ravel().tolist() == [5, 15, 100]
        assert hits.versions.ravel().tolist() == [1, 1, 2]
        registry.add("shop", embedded(second, [3, 200]))
        registry.galleries.delete("shop", np.array([0]))
        registry.galleries.seal("shop")
        third = compatible(registry, "three", second, dim=16)
        for held in (first, second):
            certify(registry, "shop", third.ref, held.ref, expires_at=FAR)
        registry.promote("shop", third.ref, PromotionOptions(expect=second.ref))
        registry.add("shop", embedded(third, [300]))
        assert found_ids(registry, "shop", third) == (live | {3, 200, 300}) - {0}
        change = registry.rollback("shop", accept_loss=True)
        assert {str(ref): n for ref, n in change.lost.items()} == {"products@3": 1}
        assert found_ids(registry, "shop", second) == (live | {3, 200}) - {0}
        tiny = registry.models.get("tiny@1")
        assert found_ids(registry, "names", tiny) == {"zoë", "模型"}
        assert registry.find_tampering() == ()
        registry.galleries.verify_files("shop")


def test_class_slots_are_kept_and_given(golden: Path, revision: str) -> None:
    with Registry.open(golden) as registry:
        if revision >= "0002":
            table = registry.slots.get("tiny")
            assert (table.n_slots, table.of("local")) == (8, {"cat": 0, "dog": 1})
            assert table.of("hub") == {7: 7, 9: 6}
        given = registry.slots.assign("tiny", ["dog", "eel"], n_slots=8)
        assert sorted(given) == ["dog", "eel"]
        assert registry.find_tampering() == ()
