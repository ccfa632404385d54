from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from registry.domain.attempts import Attempt, number_attempt
from registry.domain.events import Event, EventKind

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def line(*said: Any, kind: EventKind = EventKind.CERTIFICATE_RECORDED) -> list[Event]:
    events: list[Event] = []
    for attempt in said:
        payload = {"certificate": "c"} | ({} if attempt is None else {"attempt": attempt})
        last = events[-1] if events else None
        made = Event.following(
            last, stream="model:products", kind=kind, payload=payload, actor="t", at=NOW
        )
        events.append(made)
    return events


def said(questions: str, run: str) -> dict[str, Any]:
    return {"questions": questions, "run": run, "number": 99}


def test_the_first_is_number_one() -> None:
    assert number_attempt([], "q", "r") == Attempt("q", "r", 1)


def test_other_runs_on_the_same_questions_count_once_each() -> None:
    before = line(said("q", "a"), said("q", "a"), said("q", "b"), said("other", "c"))
    assert number_attempt(before, "q", "c").number == 3
    assert number_attempt(before, "other", "d").number == 2


def test_a_run_that_is_made_again_keeps_its_number() -> None:
    before = line(said("q", "a"), said("q", "b"), said("q", "a"))
    assert number_attempt(before, "q", "a").number == 1
    assert number_attempt(before, "q", "b").number == 2


def test_certificates_from_before_counting_and_other_events_do_not_count() -> None:
    assert number_attempt(line(None, None), "q", "a").number == 1
    promoted = line(said("q", "a"), kind=EventKind.PROMOTED)
    assert number_attempt(promoted, "q", "b").number == 1
