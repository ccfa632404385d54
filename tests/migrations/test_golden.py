"""A golden registry of every released revision is upgraded to the present one, and then used."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from alembic.script import ScriptDirectory

from compat.probe_files import facts_of
from compat.probes import Labels
from compat.workflow.probe_sets import read_set, register_questions
from registry import Contract, ContractKind, PromotionOptions, Registry
from registry.db import schema
from registry.domain.events import EventKind
from registry.domain.standing import Standing
from registry.errors import NotCertifiedError, SignatureError
from registry.keys import KeyRing
from registry.service import upgrade_database
from registry.signing import PublicKey
from tests.migrations.create_golden import FAR, QUESTIONS
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


@pytest.fixture
def adopted(golden: Path, revision: str) -> Path:
    """The golden registry, once its user trusts its key or, if it is older, vouched for it."""
    signed_by = ASSETS / f"{revision}.pem"
    if signed_by.is_file():
        KeyRing().trust(PublicKey.from_pem(signed_by.read_bytes(), "golden"), f"golden-{revision}")
    else:
        with Registry.open(golden, actor="later") as registry:
            assert registry.integrity.adopt()
    return golden


def test_it_is_read_as_it_was_written(golden: Path, revision: str, tmp_path: Path) -> None:
    with Registry.open(golden, keys=tmp_path / "no keys") as registry:
        assert registry.find_tampering() == ()
        assert registry.galleries.verify_files("shop") == 4
        assert registry.galleries.verify_files("names") == 1
        kinds = {event.kind for event in registry.audit()}
        later = {EventKind.CHAIN_ADOPTED}
        if revision < "0004":
            later.add(EventKind.PROBE_REGISTERED)
        if revision < "0003":
            later.add(EventKind.CERTIFICATE_REVOKED)
        if revision < "0002":
            later.add(EventKind.SLOTS_ASSIGNED)
        assert kinds == set(EventKind) - later
        assert [str(v.ref) for v in registry.models.list()] == [
            "products@1",
            "products@2",
            "tiny@1",
        ]
        first, second = registry.models.list("products")
        assert registry.models.contract(second.ref, first.ref) == Contract(ContractKind.PREFIX, 8)
        assert [s.query_version for s in registry.promotions.history("shop")] == [1, 2]
        standings = [c.condition.standing for c in registry.certificates.of_gallery("shop")]
        revoked = [Standing.REVOKED] if revision >= "0003" else []
        assert standings == [*revoked, Standing.VALID, Standing.VALID]
        for state in registry.certificates.of_gallery("shop"):
            assert registry.certificates.get(state.certificate.digest) == state.certificate
        tiny = registry.models.get("tiny:champion")
        assert tiny.training == {"epochs": 3}
        registry.models.artifact_directory(tiny)
        assert registry.galleries.litter(older_than_hours=-1) == ()


def test_what_nobody_trusted_signed_is_read_and_not_served(
    golden: Path, revision: str, tmp_path: Path
) -> None:
    keys = tmp_path / "other keys"
    KeyRing(keys).create()
    with Registry.open(golden, keys=keys) as registry:
        n_signed = 0 if revision < "0003" else 3
        signed = "signed by the key" if n_signed else "is not signed"
        second = registry.models.get("products@2")
        with pytest.raises(SignatureError, match=f"what 'shop' serves is not signed.*{signed}"):
            found_ids(registry, "shop", second)
        assert registry.integrity.adopt()
        assert registry.integrity.find_untrusted() == ()
        found_ids(registry, "shop", second)
    with Registry.open(golden, keys=tmp_path / "none") as registry:
        found_ids(registry, "shop", second)
        found = registry.certificates.verify_all("shop")
        assert sum(one.key_id is not None for one in found) == n_signed
        assert registry.integrity.find_replaced("shop") == ()


def test_what_is_older_than_signing_promotes_nobody(adopted: Path, revision: str) -> None:
    if revision >= "0003":
        pytest.skip("its certificates are signed")
    with Registry.open(adopted) as registry:
        registry.rollback("shop", accept_loss=True)
        with pytest.raises(NotCertifiedError, match="not signed, for it is older than signing"):
            registry.promote("shop", "products@2")


def test_it_is_used(adopted: Path) -> None:
    with Registry.open(adopted, actor="later") as registry:
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


def test_probe_sets_are_kept_and_registered(adopted: Path, revision: str) -> None:
    with Registry.open(adopted) as registry:
        if revision >= "0004":
            found, questions = read_set(registry, "spring")
            assert (found.gallery, found.registered_by) == ("shop", "golden")
            assert facts_of(questions) == facts_of(QUESTIONS) == found.facts
            assert len(registry.probes.verify_all("shop")) == 1
            measured = [
                state.certificate.probe_set for state in registry.certificates.of_gallery("shop")
            ]
            assert found.named in measured
            assert not register_questions(registry, "spring", "shop", QUESTIONS).is_new
        everything = replace(QUESTIONS, items=Labels(np.arange(200), np.arange(200) % 2))
        assert register_questions(registry, "summer", "shop", everything).is_new
        assert read_set(registry, "summer")[0].facts == facts_of(everything)
        assert registry.find_tampering() == ()
