"""Attempts: how often the same questions were asked to certify something."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    """

    questions: str
    run: str
    number: int

    def to_json(self) -> dict[str, Json]:
        """Return the attempt as JSON values."""
        return {"questions": self.questions, "run": self.run, "number": self.number}


def number_attempt(line: Iterable[Event], questions: str, run: str) -> Attempt:
    """Return which attempt a run is, by the certificates that a model line's events recorded.

    Args:
        line: events of the model line.
        questions: digest of the queries.
        run: digest of all that decides the outcome.
    """
    runs = list(dict.fromkeys(_runs(line, questions)))
    number = runs.index(run) + 1 if run in runs else len(runs) + 1
    return Attempt(questions, run, number)


def _runs(line: Iterable[Event], questions: str) -> Iterable[str]:
    for event in line:
        said = event.payload.get("attempt")
        if (
            event.kind is EventKind.CERTIFICATE_RECORDED
            and isinstance(said, dict)
            and said.get("questions") == questions
        ):
            yield str(said["run"])
