from dataclasses import replace
from datetime import UTC, datetime

import pytest

from registry.domain.events import Event, EventKind, find_break

AT = datetime(2026, 1, 1, tzinfo=UTC)


def chain(n: int) -> list[Event]:
    events: list[Event] = []
    for number in range(n):
        events.append(
            Event.following(
                events[-1] if events else None,
                stream="model:m",
                kind=EventKind.PROMOTED,
                payload={"to": number},
                actor="me",
                at=AT,
            )
        )
    return events


def test_a_chain_is_whole() -> None:
    assert find_break(chain(5)) is None
    assert find_break([]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"payload": {"to": 99}},
        {"actor": "you"},
        {"kind": EventKind.ROLLED_BACK},
        {"at": datetime(2027, 1, 1, tzinfo=UTC)},
        {"stream": "model:other"},
    ],
)
def test_any_changed_field_breaks_it(change: dict[str, object]) -> None:
    events = chain(3)
    events[1] = replace(events[1], **change)  # type: ignore[arg-type]  # one field of many types
    found = find_break(events)
    assert found is not None
    assert "event 2" in found


def test_a_removed_event_breaks_it() -> None:
    events = chain(4)
    del events[1]
    assert "event 2 is missing" in str(find_break(events))


def test_a_rewritten_event_breaks_the_next_one() -> None:
    events = chain(3)
    forged = replace(events[1], payload={"to": 99})
    events[1] = replace(forged, hash=forged.computed_hash())
    assert "event 3" in str(find_break(events))
