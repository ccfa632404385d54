from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from registry.domain.events import Event, EventKind
from registry.domain.galleries import StoredFile
from registry.domain.probe_redactions import (
    ProbeRedaction,
    describe_probe_redactions,
    find_probe_redactions,
    since_measured,
)
from registry.domain.probe_sets import ProbeFacts, ProbeKind, ProbeSet
from registry.errors import DigestMismatchError
from tests.registry.domain.certificates import NOW, certificate

SPRING = ProbeSet(
    "spring",
    "shop",
    ProbeFacts(ProbeKind.LABELS, 40, "c0", "q0"),
    StoredFile("probes/shop/a.parquet", "f0", 100),
    NOW,
    "alice",
)
FIRST = ProbeRedaction(
    SPRING,
    ProbeFacts(ProbeKind.LABELS, 39, "c1", "q1"),
    StoredFile("probes/shop/b.parquet", "f1", 99),
    n_ids=1,
    n_queries=1,
    n_items=2,
)
SECOND = ProbeRedaction(
    FIRST.after,
    ProbeFacts(ProbeKind.LABELS, 39, "c2", "q1"),
    StoredFile("probes/shop/c.parquet", "f2", 98),
    n_ids=1,
    n_queries=0,
    n_items=1,
)


def line(*payloads: Any) -> list[Event]:
    events: list[Event] = []
    for payload in payloads:
        last = events[-1] if events else None
        kind = EventKind.PROBE_REDACTED
        made = Event.following(
            last, stream="model:products", kind=kind, payload=payload, actor="bob", at=NOW
        )
        events.append(made)
    return events


def test_a_chain_is_read_as_it_was_written() -> None:
    other = replace(SPRING, name="summer")
    told = [step.to_json() for step in (FIRST, replace(FIRST, before=other), SECOND)]
    found = find_probe_redactions(line(*told), SPRING)
    assert [replace(step, event=None) for step in found] == [FIRST, SECOND]
    assert found[-1].after == replace(SPRING, facts=SECOND.facts, file=SECOND.file)
    assert find_probe_redactions(line(), SPRING) == ()


@pytest.mark.parametrize("payloads", [[SECOND.to_json()], [FIRST.to_json()] * 2])
def test_a_step_that_does_not_follow_is_refused(payloads: list[Any]) -> None:
    with pytest.raises(DigestMismatchError, match="'spring' was redacted from something else"):
        find_probe_redactions(line(*payloads), SPRING)


@pytest.mark.parametrize("lacks", ["after", "before", "n_left", "path", "n_ids"])
def test_what_tells_of_no_redaction_is_refused(lacks: str) -> None:
    payload = {name: value for name, value in FIRST.to_json().items() if name != lacks}
    with pytest.raises(DigestMismatchError, match=r"\(probe-redacted\) tells of no redaction"):
        find_probe_redactions(line(payload), SPRING)


def test_an_event_of_it_counts_only_if_it_is_signed() -> None:
    (event,) = line(FIRST.to_json())
    assert event.moves_trust


def test_what_was_taken_out_since_a_certificate_was_measured() -> None:
    steps = (FIRST, SECOND)
    cases = ((SPRING, steps), (FIRST.after, (SECOND,)), (SECOND.after, ()))
    for measured, expected in cases:
        made = replace(certificate(), probe_set=measured.named)
        assert since_measured(steps, made) == expected
    assert since_measured(steps, certificate()) == ()


def test_it_is_told_in_a_sentence() -> None:
    assert describe_probe_redactions(()) == ""
    said = describe_probe_redactions(find_probe_redactions(line(FIRST.to_json()), SPRING))
    assert said == (
        "probe set 'spring', on which it was measured, is redacted: 1 ids erased on "
        f"{NOW:%Y-%m-%d} by bob, 39 queries left; nobody can be asked all of its queries again"
    )
