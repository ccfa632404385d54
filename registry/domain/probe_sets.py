"""Registered probe sets: questions that are kept as they are, so that every attempt asks the same.

What a set holds (ids, labels, groups, judgements) is known to whoever reads its file. Here are the
facts that stand in the database and in the event that registered it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .canonical import Json
from .galleries import StoredFile


class ProbeKind(StrEnum):
    """What says which items are relevant to a query: equal labels, or judgements of the pairs."""

    LABELS = "labels"
    JUDGEMENTS = "judgements"


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    """What is known of a probe set's content, whatever file it lies in.

    Attributes:
        kind: what says which items are relevant.
        n_queries: how many queries there are.
        digest: of all the content; equal content has equal digests.
        questions: of the queries alone, by id and label: what attempts are counted by.
    """

    kind: ProbeKind
    n_queries: int
    digest: str
    questions: str


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """A registered probe set; it never changes.

    Attributes:
        name: its name, which no other set ever has.
        gallery: the gallery whose items it speaks of.
        facts: what is known of its content.
        file: where the content lies.
        registered_at: when, in UTC.
        registered_by: by whom.
    """

    name: str
    gallery: str
    facts: ProbeFacts
    file: StoredFile
    registered_at: datetime
    registered_by: str

    def to_json(self) -> dict[str, Json]:
        """Return what the event says that registered it."""
        return {
            "probe": self.name,
            "gallery": self.gallery,
            "kind": self.facts.kind.value,
            "n_queries": self.facts.n_queries,
            "digests": {
                "content": self.facts.digest,
                "questions": self.facts.questions,
                "file": self.file.digest,
            },
        }

    @property
    def named(self) -> dict[str, Json]:
        """What a certificate says of the set that it was measured on."""
        return {"name": self.name, "digest": self.facts.digest}
