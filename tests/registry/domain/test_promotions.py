import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.calibration import ScoreMap
from registry.domain.canonical import Json, canonical_json
from registry.domain.events import Event, EventKind
from registry.domain.promotions import SAME_SPACE, Serving, fold_aliases, fold_serving
from registry.errors import NotFoundError

AT = datetime(2026, 1, 1, tzinfo=UTC)


def event(kind: EventKind, number: int, gallery: str = "g") -> Event:
    serving = Serving(number, (number,), {number: SAME_SPACE})
    payload: dict[str, Json] = {"gallery": gallery, "serving": serving.to_json()}
    return Event.following(None, stream="s", kind=kind, payload=payload, actor="me", at=AT)


def test_a_state_is_read_back() -> None:
    serving = Serving(3, (3, 2), {3: SAME_SPACE, 2: "abc", 1: "waiver: because"}, (4,))
    assert Serving.from_json(serving.to_json()) == serving
    assert "basis" in canonical_json(serving.to_json())


def test_score_maps_are_read_back_and_left_out_where_there_are_none() -> None:
    serving = Serving(2, (2,), {1: "digest", 2: SAME_SPACE})
    assert "calibration" not in serving.to_json()
    mapped = replace(serving, calibration={1: ScoreMap(2.0, -1.0), 2: ScoreMap()})
    assert Serving.from_json(json.loads(canonical_json(mapped.to_json()))) == mapped


def test_promotions_stack_and_rollbacks_unstack() -> None:
    history = [
        event(EventKind.GALLERY_CREATED, 1),
        event(EventKind.PROMOTED, 2),
        event(EventKind.PROMOTED, 3),
        event(EventKind.ROLLED_BACK, 2),
    ]
    assert [s.query_version for s in fold_serving(history, "g")] == [1, 2]
    history.append(event(EventKind.ROLLED_BACK, 1))
    assert [s.query_version for s in fold_serving(history, "g")] == [1]


def test_other_galleries_do_not_count() -> None:
    history = [event(EventKind.GALLERY_CREATED, 1), event(EventKind.PROMOTED, 2, "other")]
    assert fold_serving(history, "g")[-1].query_version == 1
    with pytest.raises(NotFoundError):
        fold_serving(history, "never")


@given(st.lists(st.sampled_from(["promote", "rollback"]), max_size=20))
def test_folding_equals_replaying_on_a_list(steps: list[str]) -> None:
    history = [event(EventKind.GALLERY_CREATED, 1)]
    stack = [1]
    for number, step in enumerate(steps, start=2):
        if step == "promote":
            history.append(event(EventKind.PROMOTED, number))
            stack.append(number)
        elif len(stack) > 1:
            stack.pop()
            history.append(event(EventKind.ROLLED_BACK, stack[-1]))
    assert [s.query_version for s in fold_serving(history, "g")] == stack


def test_the_champion_is_who_was_put_in_charge_last() -> None:
    history = [event(EventKind.GALLERY_CREATED, 1)]
    assert fold_aliases(history) == {"champion": 1}
    history.append(event(EventKind.PROMOTED, 3))
    assert fold_aliases(history) == {"champion": 3, "previous": 1}
    history.append(event(EventKind.ROLLED_BACK, 1))
    assert fold_aliases(history) == {"champion": 1, "previous": 3}
