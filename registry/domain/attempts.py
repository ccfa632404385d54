"""Attempts: how often the same questions were asked to certify something."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from .canonical import Json
from .events import Event, EventKind

# what the attempts on the same questions pay for each other
UNTIL_PASSED, BY_VERDICT, UNCOUNTED = "until-passed", "by-verdict", "uncounted"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One certification among all that were made with the same questions.

    Attributes:
        questions: digest of the queries, by id and label, without anybody's vectors.
        run: digest of all that decides the outcome: candidate, vectors, gallery, policy. The same
            run made again is no further attempt: its outcome is the same.
        number: which attempt it is, counted from 1.
        spent_before: error that earlier attempts spent, under whatever policy.
        spent: error that this one spends: 1 less the confidence level of its bounds.
    """

    questions: str
    run: str
    number: int
    spent_before: float = 0.0
    spent: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """Return the attempt as JSON values."""
        value: dict[str, Json] = {
            "questions": self.questions,
            "run": self.run,
            "number": self.number,
        }
        if not self.spent:  # recorded before it was kept
            return value
        return value | {"spent_before": self.spent_before, "spent": self.spent}

    def is_at(self, other: Attempt) -> bool:
        """Whether both stand at the same place among the attempts on the same questions."""
        mine = (self.questions, self.run, self.number)
        return mine == (other.questions, other.run, other.number) and math.isclose(
            self.spent_before, other.spent_before, abs_tol=1e-9
        )


def of_attempts(attempt: Attempt | None, policy: Mapping[str, Json]) -> str:
    """Return how a certificate's confidence is meant, where attempts were counted."""
    if attempt is None:
        return ""
    if policy.get("attempts") == UNCOUNTED:
        return f", attempt {attempt.number} on these queries, none paid for"
    return f" over all attempts on these queries, of which it is number {attempt.number}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A certificate that an attempt ended in; one attempt has one for each pair it certified.

    Attributes:
        number: which attempt it was, counted from 1.
        certificate: digest of the certificate.
        gallery: the gallery that was searched.
        query_version: number of the version whose queries were certified.
        gallery_version: number of the version that made the vectors.
        verdict: what it says.
        at: when it was recorded, in UTC.
        by: by whom.
    """

    number: int
    certificate: str
    gallery: str
    query_version: int
    gallery_version: int
    verdict: str
    at: datetime
    by: str


def number_attempt(line: Iterable[Event], questions: str, run: str) -> Attempt:
    """Return which attempt a run is, by the certificates that a model line's events recorded.

    Args:
        line: events of the model line.
        questions: digest of the queries.
        run: digest of all that decides the outcome.
    """
    spent: dict[str, float] = {}
    for earlier, event in _runs(line, questions):
        said = cast("Mapping[str, float]", event.payload["attempt"])
        spent.setdefault(earlier, said.get("spent", 0.0))
    before = list(spent)[: list(spent).index(run)] if run in spent else list(spent)
    return Attempt(questions, run, len(before) + 1, math.fsum(spent[one] for one in before))


def outcomes(line: Iterable[Event], questions: str) -> tuple[Outcome, ...]:
    """Return what came of every attempt on some queries, oldest first, by a model line's events."""
    numbers: dict[str, int] = {}
    return tuple(
        _outcome(event, numbers.setdefault(run, len(numbers) + 1))
        for run, event in _runs(line, questions)
    )


def _outcome(event: Event, number: int) -> Outcome:
    said = event.payload
    return Outcome(
        number=number,
        certificate=str(said["certificate"]),
        gallery=str(said["gallery"]),
        query_version=cast("int", said["query_version"]),
        gallery_version=cast("int", said["gallery_version"]),
        verdict=str(said["verdict"]),
        at=event.at,
        by=event.actor,
    )


def _runs(line: Iterable[Event], questions: str) -> Iterable[tuple[str, Event]]:
    for event in line:
        said = event.payload.get("attempt")
        if (
            event.kind is EventKind.CERTIFICATE_RECORDED
            and isinstance(said, dict)
            and said.get("questions") == questions
        ):
            yield str(said["run"]), event
