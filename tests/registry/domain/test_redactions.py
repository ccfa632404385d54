from dataclasses import replace
from typing import Any

import pytest

from registry.domain.events import Event, EventKind
from registry.domain.redactions import Redaction, describe_redactions, find_redactions
from registry.errors import DigestMismatchError
from tests.registry.domain.certificates import NOW, certificate

MADE = certificate()
FIRST = Redaction(MADE.digest, MADE.evidence_digest, "b", "path/b", 2, 1, 3)
SECOND = replace(FIRST, before="b", after="c", path="path/c", n_ids=1)


def line(*payloads: Any, kind: EventKind = EventKind.EVIDENCE_REDACTED) -> list[Event]:
    found: list[Event] = []
    for payload in payloads:
        found.append(
            Event.following(
                found[-1] if found else None,
                stream="model:products",
                kind=kind,
                payload=payload,
                actor="alice",
                at=NOW,
            )
        )
    return found


def test_the_steps_of_one_certificate_are_found_in_order() -> None:
    other = replace(FIRST, certificate="another", before="x")
    steps = [FIRST.to_json(), other.to_json(), SECOND.to_json()]
    found = find_redactions(line(*steps), MADE)
    assert [replace(step, event=None) for step in found] == [FIRST, SECOND]
    assert [step.words for step in found] == [
        "2 ids erased on 2026-05-01 by alice",
        "1 ids erased on 2026-05-01 by alice",
    ]
    assert describe_redactions(found) == (
        "its evidence is redacted: 2 ids erased on 2026-05-01 by alice, 1 ids erased on "
        "2026-05-01 by alice; replay is no longer byte for byte"
    )
    assert describe_redactions(()) == ""
    assert find_redactions(line(*steps, kind=EventKind.CERTIFICATE_RECORDED), MADE) == ()


@pytest.mark.parametrize("steps", [(SECOND,), (FIRST, FIRST), (FIRST, replace(SECOND, before="x"))])
def test_steps_that_do_not_follow_from_each_other_are_refused(steps: tuple[Redaction, ...]) -> None:
    with pytest.raises(DigestMismatchError, match="was redacted from"):
        find_redactions(line(*(step.to_json() for step in steps)), MADE)


@pytest.mark.parametrize("change", [{"path": None}, {"n_ids": "many"}, {"n_hits": None}])
def test_what_tells_of_no_redaction_is_refused(change: dict[str, object]) -> None:
    payload = FIRST.to_json() | change
    given = {name: value for name, value in payload.items() if value is not None}
    with pytest.raises(DigestMismatchError, match=r"event 1 \(evidence-redacted\) tells of no"):
        find_redactions(line(given), MADE)
