from datetime import datetime, timedelta

import pytest

from registry.domain.events import Event, EventKind
from registry.domain.standing import Standing, find_condition, find_history
from tests.registry.domain.certificates import NOW, certificate

Step = tuple[EventKind, str, dict[str, object]]
PAIR = {"gallery": "shop", "query_version": 2, "gallery_version": 1}
RECORDED, REVOKED = EventKind.CERTIFICATE_RECORDED, EventKind.CERTIFICATE_REVOKED


def line(*steps: Step) -> list[Event]:
    found: list[Event] = []
    for kind, digest, more in steps:
        payload = {"certificate": digest, **PAIR, **more}
        found.append(
            Event.following(
                found[-1] if found else None,
                stream="model:products",
                kind=kind,
                payload=payload,  # type: ignore[arg-type]  # a table
                actor="alice",
                at=NOW,
            )
        )
    return found


FIRST: Step = (RECORDED, "aaa", {})
NEXT: Step = (RECORDED, "bbb", {})
GONE: Step = (REVOKED, "aaa", {"reason": "labels"})


@pytest.mark.parametrize(
    ("events", "staleness", "now", "says"),
    [
        ((FIRST,), None, NOW, "valid"),
        ((FIRST,), "it grew", NOW, "stale: it grew"),
        ((FIRST,), "it grew", NOW + timedelta(days=90), "expired: on 2026-07-30"),
        ((FIRST, NEXT), "it grew", NOW + timedelta(days=90), "superseded: by bbb"),
        ((FIRST, GONE, NEXT), "it grew", NOW, "revoked: labels, by alice on 2026-05-01"),
        ((FIRST, (RECORDED, "bbb", {"gallery": "window"})), None, NOW, "valid"),
        ((FIRST, (RECORDED, "bbb", {"query_version": 3})), None, NOW, "valid"),
        ((FIRST, (RECORDED, "bbb", {"gallery_version": 2})), None, NOW, "valid"),
        ((NEXT, FIRST), None, NOW, "valid"),
        ((FIRST, NEXT, (REVOKED, "bbb", {})), None, NOW, "superseded: by bbb"),
    ],
)
def test_what_was_decided_goes_before_what_came_about(
    events: tuple[Step, ...],
    staleness: str | None,
    now: datetime,
    says: str,
) -> None:
    history = find_history(line(*events), "aaa")
    found = find_condition(certificate(), history, staleness, now)
    assert str(found) == says
    assert found.standing.value == says.partition(":")[0]


def test_every_standing_has_a_case_above() -> None:
    assert {s.value for s in Standing} == {"valid", "stale", "expired", "superseded", "revoked"}


def test_what_no_event_recorded_has_no_history() -> None:
    assert find_history(line(NEXT), "aaa").recorded is None
