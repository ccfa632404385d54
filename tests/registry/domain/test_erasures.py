import hashlib
import hmac

from registry.domain.erasures import Erasure, EvidenceErasure, ProbeErasure, SegmentErasure, mask
from registry.domain.events import Event, EventKind
from tests.registry.domain.certificates import NOW

SALT = "ab" * 32
ENTRY = Erasure(
    gallery="shop",
    reason="request 2041",
    n_items=2,
    segments=(SegmentErasure(1, 2, 1, 3, "rebuilt"),),
    evidence=(EvidenceErasure("c" * 64, 1, 4),),
    missing=("d" * 64,),
    probes=(ProbeErasure("spring", 1, 2, 39),),
    missing_probes=("autumn",),
    salt=SALT,
    items=(mask("zoë", SALT), mask(17, SALT)),
)


def test_an_entry_is_read_as_it_was_written() -> None:
    event = Event.following(
        None,
        stream="gallery:shop",
        kind=EventKind.ITEMS_ERASED,
        payload=ENTRY.to_json(),
        actor="alice",
        at=NOW,
    )
    found = Erasure.from_event("shop", event)
    assert (found.at, found.actor) == (NOW, "alice")
    assert found.to_json() == ENTRY.to_json()
    assert (found.segments, found.evidence) == (ENTRY.segments, ENTRY.evidence)
    assert (found.probes, found.missing_probes) == (ENTRY.probes, ENTRY.missing_probes)


def test_it_names_its_items_to_those_who_know_them() -> None:
    assert ENTRY.names("zoë")
    assert ENTRY.names(17)
    assert ENTRY.names("17"), "a gallery names items by numbers or by text, never by both"
    assert not ENTRY.names("zoe")
    assert "zoë" not in str(ENTRY.to_json())


def test_a_mask_is_an_hmac_under_a_salt_of_its_own() -> None:
    expected = hmac.new(bytes.fromhex(SALT), "zoë".encode(), hashlib.sha256).hexdigest()
    assert mask("zoë", SALT) == expected
    assert mask("zoë", "ac" * 32) != expected
