from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from registry.domain.attempts import UNCOUNTED, Attempt, number_attempt, of_attempts, outcomes
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


def recorded(*runs: tuple[str, str, str]) -> list[Event]:
    """Certificates by question, run and verdict, as the registry records them."""
    events: list[Event] = []
    for place, (questions, run, verdict) in enumerate(runs):
        payload: dict[str, Any] = {
            "certificate": f"c{place}",
            "gallery": "shop",
            "query_version": 2,
            "gallery_version": 1,
            "verdict": verdict,
            "attempt": said(questions, run),
        }
        last = events[-1] if events else None
        kind = EventKind.CERTIFICATE_RECORDED
        made = Event.following(
            last, stream="model:products", kind=kind, payload=payload, actor="t", at=NOW
        )
        events.append(made)
    return events


def test_what_came_of_each_attempt_is_told_in_order() -> None:
    line = recorded(
        ("q", "a", "INCOMPATIBLE"),
        ("other", "a", "COMPATIBLE"),
        ("q", "b", "INCONCLUSIVE"),
        ("q", "a", "COMPATIBLE"),
    )
    found = outcomes(line, "q")
    assert [(o.number, o.certificate, o.verdict) for o in found] == [
        (1, "c0", "INCOMPATIBLE"),
        (2, "c2", "INCONCLUSIVE"),
        (1, "c3", "COMPATIBLE"),
    ]
    assert {(o.gallery, o.query_version, o.gallery_version, o.by) for o in found} == {
        ("shop", 2, 1, "t")
    }
    assert outcomes(line, "nobody asked that") == ()


def test_how_the_confidence_is_meant_is_said() -> None:
    second = Attempt("q", "r", 2)
    assert of_attempts(None, {}) == ""
    assert "of which it is number 2" in of_attempts(second, {})
    assert of_attempts(second, {"attempts": UNCOUNTED}).endswith("none paid for")


def test_what_earlier_attempts_spent_is_added_up_once_each() -> None:
    first, second = said("q", "a") | {"spent": 0.03}, said("q", "b") | {"spent": 0.01}
    before = line(first, first, second)
    assert number_attempt(before, "q", "c").spent_before == 0.04
    assert number_attempt(before, "q", "b").spent_before == 0.03
    assert number_attempt(before, "q", "a").spent_before == 0.0


def test_two_stand_at_one_place_whatever_they_spend() -> None:
    one = Attempt("q", "r", 2, 0.1, 0.02)
    assert one.is_at(Attempt("q", "r", 2, 0.1 + 1e-15, 0.03))
    assert not one.is_at(Attempt("q", "r", 2, 0.2, 0.02))
    assert not one.is_at(Attempt("q", "r", 3, 0.1, 0.02))
