"""Whatever an attacker without a key changes is named, or changes nothing that matters.

The attacker computes every digest and every hash again; see `attacker`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import ModelVersion, PromotionOptions, Registry
from registry.db.certificates import insert_certificate
from registry.db.session import write
from registry.db.tables import certificates, events
from registry.domain.canonical import canonical_json
from registry.domain.certificates import Verdict
from registry.domain.events import EventKind
from registry.domain.galleries import StoredFile
from registry.errors import (
    DigestMismatchError,
    InvalidInputError,
    NotCertifiedError,
    NotFoundError,
    SamespaceError,
    SignatureError,
)
from registry.keys import KeyRing
from registry.service.trust import Trust
from registry.service.verification import sign_certificate
from tests.registry.service import attacker
from tests.registry.service.builders import (
    EVIDENCE,
    Site,
    artifact,
    asked,
    certify,
    compatible,
    embedded,
    found_ids,
    make_certificate,
    on_sqlite,
)

pytestmark = on_sqlite
LINE = "model:products"


@pytest.fixture
def home(site: Site) -> Path:
    return Path(site.storage)


@pytest.fixture
def promoted(registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion) -> str:
    """The digest of the certificate on which version 2 was promoted."""
    digest = certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    assert attacker.complaints(registry, shop) == ""
    return digest


@pytest.fixture
def thief(tmp_path: Path) -> Path:
    """A key ring that nobody trusts."""
    KeyRing(tmp_path / "thief").create()
    return tmp_path / "thief"


@pytest.fixture
def reopened(site: Site, promoted: str) -> Iterator[Registry]:
    """Another process, that has seen nothing yet."""
    with site.open() as other:
        yield other


def forged_serving(number: int) -> dict[str, Any]:
    basis = {"1": "same-space", "2": "same-space", "3": "same-space"}
    serving = {"query_version": number, "write_versions": [number], "basis": basis, "excluded": []}
    return {"gallery": "shop", "from": 1, "to": number, "serving": serving, "lost": {}}


# --- every column of a certificate, and of the events that move trust

CHANGES: dict[str, Any] = {  # of a certificate's row
    "digest": "f" * 64,
    "gallery_id": 2,
    "query_version_id": 1,
    "gallery_version_id": 2,
    "verdict": "INCOMPATIBLE",
    "policy_digest": "f" * 64,
    "evidence_path": "certificates/shop/other.parquet",
    "evidence_digest": "f" * 64,
    "issued_at": "2020-01-01T00:00:00.000000+00:00",
    "expires_at": "2199-01-01T00:00:00.000000+00:00",
    "body": lambda body: body.replace('"n_gallery_items":20', '"n_gallery_items":2000'),
    "envelope": lambda envelope: envelope.replace('"sig":"', '"sig":"A', 1),
}


@pytest.mark.parametrize("column", [column.name for column in certificates.columns])
def test_no_column_of_a_certificate_is_changed_unnoticed(
    registry: Registry, promoted: str, reopened: Registry, home: Path, v1: ModelVersion, column: str
) -> None:
    registry.galleries.create("window", v1.ref)
    (home / "certificates" / "shop" / "other.parquet").write_bytes(b"other evidence")
    with attacker.database(home) as connection:
        (row,) = connection.execute("SELECT * FROM certificates").fetchall()
        change = CHANGES[column]
        new = change(row[column]) if callable(change) else change
        assert new != row[column]
        connection.execute(f"UPDATE certificates SET {column} = ?", (new,))  # noqa: S608
    said = attacker.complaints(reopened, "shop")
    assert promoted[:12] in said or "f" * 12 in said
    with pytest.raises(SamespaceError):
        reopened.certificates.verify(promoted)


@pytest.mark.parametrize("key", [None, "{}", "[]", "nonsense", '{"payload":1}'])
def test_an_envelope_that_is_removed_or_replaced_is_noticed(
    reopened: Registry, promoted: str, home: Path, key: str | None
) -> None:
    with attacker.database(home) as connection:
        connection.execute("UPDATE certificates SET envelope = ?", (key,))
    with pytest.raises(SignatureError, match=f"envelope of certificate {promoted[:12]}"):
        reopened.certificates.verify_all("shop")


def test_every_single_byte_of_an_envelope_counts(registry: Registry, promoted: str) -> None:
    envelope = str(registry.certificates.verify(promoted).envelope)
    for position in range(0, len(envelope), 17):
        for bit in (1, 16, 32):
            changed = chr(ord(envelope[position]) ^ bit)
            text = envelope[:position] + changed + envelope[position + 1 :]
            with write(registry._context.engine) as connection:
                connection.execute(certificates.update().values(envelope=text))
            with pytest.raises(SignatureError, match=promoted[:12]):
                registry.certificates.verify(promoted)


EVENT_CHANGES: dict[str, Any] = {
    "stream": "model:other",
    "sequence": 99,
    "kind": "slots-assigned",
    "payload": lambda payload: payload.replace('"to":2', '"to":1'),
    "actor": "nobody",
    "at": "2020-01-01T00:00:00.000000+00:00",
    "previous_hash": "f" * 64,
    "hash": "f" * 64,
    "signature": lambda signature: signature.replace('"sig":"', '"sig":"A', 1),
}


@pytest.mark.parametrize("is_rechained", [False, True])
@pytest.mark.parametrize(
    "column", [column.name for column in events.columns if column.name != "id"]
)
def test_no_column_of_a_promotion_is_changed_unnoticed(
    reopened: Registry, home: Path, v2: ModelVersion, column: str, is_rechained: bool
) -> None:
    with attacker.database(home) as connection:
        row = connection.execute("SELECT * FROM events WHERE kind = 'promoted'").fetchone()
        change = EVENT_CHANGES[column]
        new = change(row[column]) if callable(change) else change
        assert new != row[column]
        connection.execute(f"UPDATE events SET {column} = ? WHERE id = ?", (new, row["id"]))  # noqa: S608
        if is_rechained:
            attacker.rechain(connection)
        after = connection.execute("SELECT * FROM events WHERE id = ?", (row["id"],)).fetchone()
    if dict(after) == dict(row):
        return  # a hash that was computed again: nothing is changed
    said = attacker.complaints(reopened, "shop")
    stream = "model:other" if column == "stream" else LINE
    assert f"{stream} event" in said
    if column not in {"stream", "previous_hash"} or is_rechained:
        with pytest.raises(SamespaceError):
            found_ids(reopened, "shop", v2)


def test_the_number_of_an_events_row_says_nothing(reopened: Registry, home: Path) -> None:
    with attacker.database(home) as connection:
        connection.execute("UPDATE events SET id = id + 1000")
    assert attacker.complaints(reopened, "shop") == ""


@pytest.mark.parametrize("kind", ["gallery-created", "certificate-recorded", "promoted"])
def test_events_that_move_trust_are_not_taken_out_of_the_middle(
    registry: Registry, reopened: Registry, home: Path, kind: str
) -> None:
    registry.rollback("shop")
    with attacker.database(home) as connection:
        connection.execute("DELETE FROM events WHERE kind = ?", (kind,))
        attacker.rechain(connection)
    assert "does not fit" in attacker.complaints(reopened, "shop")
    with pytest.raises(SamespaceError):
        reopened.promote("shop", "products@2")


# --- what the signed event pins


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE contracts SET dims = 3", "products@2 is compared with products@1 by another"),
        ("UPDATE galleries SET metric = 'l2'", "its metric is l2, not cosine"),
        (
            "UPDATE model_versions SET fingerprint = 'declared:x' WHERE number = 2",
            "the fingerprint of products@2 is another",
        ),
    ],
)
def test_rows_that_a_promotion_rests_on_are_pinned(
    reopened: Registry, home: Path, change: str, says: str
) -> None:
    with attacker.database(home) as connection:
        connection.execute(change)
    assert says in attacker.complaints(reopened, "shop")
    version = reopened.models.get("products@2")
    with pytest.raises(DigestMismatchError, match=says):
        reopened.search("shop", asked(version, [1]), 1)
    with pytest.raises(DigestMismatchError, match=says):
        reopened.galleries.check_add("shop", asked(version, [900]))


@pytest.mark.parametrize("table", ["parts", "segment_indexes"])
def test_files_that_were_replaced_with_their_digests_are_named(
    registry: Registry, reopened: Registry, home: Path, table: str
) -> None:
    registry.galleries.seal("shop")
    with attacker.database(home) as connection:
        connection.execute(f"UPDATE {table} SET digest = ?", ("f" * 64,))  # noqa: S608
    said = reopened.integrity.find_replaced("shop")
    what = "part 1" if table == "parts" else "the index"
    assert said == (f"segment 1: {what} is not the one that was recorded",)


def test_deletions_that_were_taken_back_are_named(
    registry: Registry, reopened: Registry, home: Path
) -> None:
    registry.galleries.delete("shop", np.array([3, 4]))
    with attacker.database(home) as connection:
        connection.execute("DELETE FROM deletions WHERE position = 3")
    (said,) = reopened.integrity.find_replaced("shop")
    assert said == "segment 1: 1 items are marked as deleted, but 2 were"


def test_an_event_that_needs_no_signature_and_has_a_wrong_one_is_named(
    registry: Registry, reopened: Registry, home: Path, v2: ModelVersion
) -> None:
    registry.add("shop", embedded(v2, [900]))
    with attacker.database(home) as connection:
        connection.execute("UPDATE events SET actor = 'nobody' WHERE kind = 'items-added'")
        attacker.rechain(connection)
    (first, second) = reopened.integrity.find_untrusted()
    assert "(items-added) does not fit" in first
    assert "event 2" in second
    with attacker.database(home) as connection:
        connection.execute("UPDATE events SET signature = NULL WHERE kind = 'items-added'")
    assert reopened.integrity.find_untrusted() == ()
    assert reopened.integrity.count_unsigned() == 2


# --- forging


def insert_forged(registry: Registry, home: Path, keys: Path | None) -> str:
    """A COMPATIBLE certificate that nobody measured, with all digests and the chain right."""
    forged = make_certificate(
        registry,
        "shop",
        registry.models.get("products@2").ref,
        registry.models.get("products@1").ref,
    )
    path = home / "certificates" / "shop" / "forged.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(EVIDENCE)
    file = StoredFile("certificates/shop/forged.parquet", forged.evidence_digest, len(EVIDENCE))
    envelope = sign_certificate(Trust(KeyRing(keys)), forged) if keys else None
    with write(registry._context.engine) as connection:
        insert_certificate(connection, forged, file, envelope)
    payload = {
        "certificate": forged.digest,
        "gallery": "shop",
        "query_version": 2,
        "gallery_version": 1,
        "verdict": "COMPATIBLE",
    }
    attacker.append(home, LINE, EventKind.CERTIFICATE_RECORDED, payload, keys)
    return forged.digest


@pytest.mark.parametrize("is_signed", [False, True])
def test_a_forged_certificate_promotes_nobody(
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    v2: ModelVersion,
    thief: Path,
    is_signed: bool,
) -> None:
    home = registry.storage
    certify(registry, shop, v2.ref, v1.ref, verdict=Verdict.INCOMPATIBLE)
    digest = insert_forged(registry, home, thief if is_signed else None)
    assert registry.find_tampering() == (), "the hashes are right"
    before = registry.audit()
    for waiver in (None, "I insist"):
        with pytest.raises(SignatureError, match=r"certificate-recorded.* signed"):
            registry.promote(shop, v2.ref, PromotionOptions(waiver=waiver))
    assert registry.audit() == before
    said = attacker.complaints(registry, shop)
    assert "(certificate-recorded) is" in said
    assert not is_signed or f"certificate {digest[:12]} is signed by the key" in said


def test_a_certificate_of_the_right_key_in_another_ones_place_is_refused(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, home: Path
) -> None:
    """A refusal gets the envelope of a certificate that says yes."""
    yes = certify(registry, shop, v2.ref, v1.ref)
    no = certify(registry, shop, v2.ref, v1.ref, verdict=Verdict.INCOMPATIBLE)
    with attacker.database(home) as connection:
        connection.execute(
            "UPDATE certificates SET envelope = "
            "(SELECT envelope FROM certificates WHERE digest = ?) WHERE digest = ?",
            (yes, no),
        )
    with pytest.raises(SignatureError, match=f"envelope of certificate {no[:12]} is of another"):
        registry.promote(shop, v2.ref)


def test_a_body_that_was_changed_with_its_digest_everywhere_promotes_nobody(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, home: Path
) -> None:
    no = certify(registry, shop, v2.ref, v1.ref, verdict=Verdict.INCOMPATIBLE)
    yes = make_certificate(registry, shop, v2.ref, v1.ref)
    with attacker.database(home) as connection:
        connection.execute("UPDATE certificates SET body = ?", (canonical_json(yes.to_json()),))
        attacker.redigest(connection, no)
        attacker.rechain(connection)
    assert registry.find_tampering() == ()
    with pytest.raises(SignatureError, match=r"certificate-recorded.* does not fit"):
        registry.promote(shop, v2.ref)
    assert yes.digest[:12] in attacker.complaints(registry, shop)


@pytest.mark.parametrize(
    "kind", [EventKind.PROMOTED, EventKind.GALLERY_CREATED, EventKind.ITEMS_ADDED]
)
@pytest.mark.parametrize("is_signed", [False, True])
def test_a_forged_promotion_is_not_served_whatever_it_calls_itself(  # noqa: PLR0917 -- fixtures
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    unrelated: ModelVersion,
    thief: Path,
    kind: EventKind,
    is_signed: bool,
) -> None:
    home = registry.storage
    found_ids(registry, shop, v1)
    keys = thief if is_signed else None
    attacker.append(home, LINE, kind, forged_serving(unrelated.ref.number), keys)
    assert registry.find_tampering() == (), "the hashes are right"
    for version in (v1, unrelated):
        with pytest.raises(SignatureError, match="what 'shop' serves is not signed by a key"):
            registry.search(shop, asked(version, [1]), 1)
        with pytest.raises(SignatureError):
            registry.add(shop, asked(version, [900]))
    for ref in ("products:champion", "products:previous"):
        with pytest.raises(SignatureError):
            registry.models.get(ref)
    with pytest.raises(SignatureError):
        registry.models.aliases("products")
    for step in (registry.rollback, lambda name: registry.promote(name, v1.ref)):
        with pytest.raises(SamespaceError):
            step(shop)
    assert f"({kind}) is " in attacker.complaints(registry, shop)
    seal = "signed by an unknown key" if is_signed else "not signed"
    assert registry.integrity.sealed(shop) == seal


def test_a_forged_adoption_adopts_nothing(
    registry: Registry, shop: str, unrelated: ModelVersion, home: Path, thief: Path
) -> None:
    attacker.append(home, LINE, EventKind.PROMOTED, forged_serving(unrelated.ref.number))
    attacker.append(home, LINE, EventKind.CHAIN_ADOPTED, {"n_events": 1}, thief)
    with pytest.raises(SignatureError, match="what 'shop' serves"):
        registry.search(shop, asked(unrelated, [1]), 1)


def test_what_follows_a_forged_event_does_not_vouch_for_it(
    registry: Registry, shop: str, v1: ModelVersion, unrelated: ModelVersion, home: Path
) -> None:
    """Honest users go on registering; that signs the chain, and adopts nothing."""
    attacker.append(home, LINE, EventKind.PROMOTED, forged_serving(unrelated.ref.number))
    compatible(registry, "four", v1, dim=12)
    with pytest.raises(SignatureError, match="what 'shop' serves"):
        registry.search(shop, asked(unrelated, [1]), 1)


def test_a_registry_that_was_made_to_look_older_than_signing_is_not_served(
    reopened: Registry, home: Path
) -> None:
    with attacker.database(home) as connection:
        connection.execute("UPDATE events SET signature = NULL")
        connection.execute("UPDATE certificates SET envelope = NULL")
    with pytest.raises(SignatureError, match="is not signed") as caught:
        reopened.search("shop", asked(reopened.models.get("products@2"), [1]), 1)
    assert "samespace audit" in str(caught.value.hint)


def test_a_model_in_the_place_of_another_is_not_promoted(
    registry: Registry, tmp_path: Path, home: Path
) -> None:
    """Files, digest and description are another model's; the fingerprint is the certified one."""
    for seed in (1, 2):
        registry.register("m", artifact(tmp_path / str(seed), seed=seed))
    registry.register("m", artifact(tmp_path / "bad", seed=9))
    registry.galleries.create("box", "m@1")
    with attacker.database(home) as connection:
        connection.execute(
            "UPDATE model_versions SET (artifact_path, artifact_digest) = "
            "(SELECT artifact_path, artifact_digest FROM model_versions WHERE number = 3) "
            "WHERE number = 2"
        )
    with pytest.raises(DigestMismatchError, match=r"m@2 .* is of another model"):
        registry.promote("box", "m@2")


def test_evidence_that_was_changed_promotes_nobody(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, home: Path
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    (path,) = (home / "certificates" / shop).iterdir()
    for position in (0, len(EVIDENCE) - 1):
        changed = bytearray(EVIDENCE)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(DigestMismatchError, match=path.name):
            registry.promote(shop, v2.ref)
        assert path.name in attacker.complaints(registry, shop)
    path.write_bytes(EVIDENCE)
    registry.promote(shop, v2.ref)
    path.write_bytes(b"")
    assert registry.rollback(shop).after == v1.ref, "damage does not bar the way back"


def test_another_writing_of_the_same_payload_changes_nothing(
    reopened: Registry, home: Path
) -> None:
    """The same JSON with a space more has the same meaning and the same hash: nothing matters."""
    with attacker.database(home) as connection:
        for row in connection.execute("SELECT id, payload FROM events").fetchall():
            text = json.dumps(json.loads(row["payload"]), indent=1)
            connection.execute("UPDATE events SET payload = ? WHERE id = ?", (text, row["id"]))
    assert attacker.complaints(reopened, "shop") == ""
    assert str(reopened.galleries.state("shop").query_version.ref) == "products@2"


# --- keys


def test_who_trusts_no_key_reads_and_promotes_nobody(
    site: Site, promoted: str, v1: ModelVersion, v2: ModelVersion, tmp_path: Path
) -> None:
    with site.open(keys=tmp_path / "none") as reader:
        assert not reader.integrity.is_verified
        assert reader.integrity.sealed("shop") == "not verified: no trusted key"
        assert found_ids(reader, "shop", v2) == set(range(20))
        assert len(reader.certificates.verify_all("shop")) == 1
        with pytest.raises(SignatureError, match="no key is trusted in"):
            reader.certificates.verify(promoted)
        for step in (
            lambda: reader.promote("shop", v1.ref, PromotionOptions(waiver="x")),
            lambda: reader.rollback("shop"),
            reader.integrity.adopt,
        ):
            with pytest.raises(SignatureError, match="no key is trusted in"):
                step()
        for make in (
            lambda: certify(reader, "shop", v2.ref, v1.ref),
            lambda: reader.galleries.create("window", v1.ref),
            lambda: reader.certificates.revoke(promoted, "x"),
        ):
            with pytest.raises(NotFoundError, match="there is no signing key in") as caught:
                make()
            assert "samespace key create" in str(caught.value.hint)
        reader.add("shop", embedded(v2, [900]))
        assert reader.audit("gallery:shop")[-1].signature is None
        assert 900 in found_ids(reader, "shop", v2)


def test_a_colleague_counts_once_one_trusts_the_key(
    site: Site, promoted: str, v2: ModelVersion, key_folder: Path, tmp_path: Path
) -> None:
    colleague = KeyRing(tmp_path / "colleague")
    colleague.create()
    with site.open(keys=colleague.folder) as other:
        with pytest.raises(SignatureError, match="which you do not trust") as caught:
            found_ids(other, "shop", v2)
        assert "samespace key trust" in str(caught.value.hint)
        KeyRing(colleague.folder).trust(KeyRing(key_folder).signing.public, "alice")
        assert found_ids(other, "shop", v2) == set(range(20)), "without opening it again"
        assert (
            other.certificates.verify(promoted).key_id == KeyRing(key_folder).signing.public.key_id
        )


def test_keys_within_the_registry_are_refused(site: Site, home: Path) -> None:
    with pytest.raises(InvalidInputError, match="lie within the registry"):
        site.open(keys=home / "keys")


def test_nothing_that_was_tampered_with_is_adopted(
    registry: Registry, promoted: str, home: Path
) -> None:
    with attacker.database(home) as connection:
        connection.execute("UPDATE events SET actor = 'nobody' WHERE kind = 'promoted'")
        attacker.rechain(connection)
    before = registry.audit()
    with pytest.raises(SignatureError, match=r"tampered with is not adopted.*promoted"):
        registry.integrity.adopt()
    assert registry.audit() == before


def test_each_event_is_verified_once(
    registry: Registry, promoted: str, v2: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify, calls = KeyRing.verify, []

    def count(self: KeyRing, envelope: Any, name: str) -> str:
        calls.append(name)
        return verify(self, envelope, name)

    monkeypatch.setattr(KeyRing, "verify", count)
    for item in range(500, 505):
        registry.add("shop", embedded(v2, [item]))
        found_ids(registry, "shop", v2)
    assert len(calls) == len(set(calls))
    assert len(calls) <= 1


def test_states_are_folded_from_events(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    first = certify(registry, shop, v2.ref, v1.ref)
    second = certify(registry, shop, v2.ref, v1.ref)
    assert str(registry.certificates.state(first).condition) == f"superseded: by {second[:12]}"
    registry.certificates.revoke(second[:10], "labels were wrong", dry_run=True)
    assert str(registry.certificates.state(second).condition) == "valid"
    registry.certificates.revoke(second[:10], " labels were wrong ")
    said = str(registry.certificates.state(second).condition)
    assert said.startswith("revoked: labels were wrong, by tester on 2026-05-03")
    assert "superseded" in str(registry.certificates.state(first).condition), "it stays so"
    with pytest.raises(NotCertifiedError, match="it was revoked: labels were wrong"):
        registry.promote(shop, v2.ref)
    with pytest.raises(SamespaceError, match="revoked already"):
        registry.certificates.revoke(second, "again")
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
