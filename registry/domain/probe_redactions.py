"""Redactions of probe sets: what is left of them once items were erased, as signed events tell.

The row of a set, and the event that registered it, say what it was, and certificates go on naming
that by its digest. When an item is erased, a file without its id takes the place of the set's, and
an event says what follows what. What is asked is the last of that chain, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ..errors import DigestMismatchError
from .canonical import Json
from .certificates import Certificate
from .events import Event, EventKind
from .galleries import StoredFile
from .probe_sets import ProbeFacts, ProbeSet


@dataclass(frozen=True, slots=True)
class ProbeRedaction:
    """One step of the chain: a set before, and what is left of it.

    Attributes:
        before: the set as it was.
        facts: what is known of its content without the erased ids; there may be no query left.
        file: the file of that.
        n_ids: how many ids were taken out.
        n_queries: queries that are gone: those of an erased id, and those whose last right answer
            was erased.
        n_items: labels of items, or judgements, that are gone.
        event: the event that tells of it; None until it is recorded.
    """

    before: ProbeSet
    facts: ProbeFacts
    file: StoredFile
    n_ids: int
    n_queries: int
    n_items: int
    event: Event | None = None

    @property
    def after(self) -> ProbeSet:
        """The set without the erased ids."""
        return replace(self.before, facts=self.facts, file=self.file)

    @property
    def words(self) -> str:
        """What happened, in a few words."""
        by = "" if self.event is None else f" on {self.event.at:%Y-%m-%d} by {self.event.actor}"
        return f"{self.n_ids} ids erased{by}, {self.facts.n_queries} queries left"

    def to_json(self) -> dict[str, Json]:
        """Return what its event says."""
        return {
            "probe": self.before.name,
            "gallery": self.before.gallery,
            "before": _digests(self.before.facts, self.before.file),
            "after": _digests(self.facts, self.file),
            "n_left": self.facts.n_queries,
            "path": self.file.path,
            "n_bytes": self.file.n_bytes,
            "n_ids": self.n_ids,
            "n_queries": self.n_queries,
            "n_items": self.n_items,
        }

    @classmethod
    def from_event(cls, event: Event, before: ProbeSet) -> ProbeRedaction:
        """Read what `to_json` wrote.

        Raises:
            DigestMismatchError: if it is something else, or begins with another set than that.
        """
        said = cast("dict[str, Any]", event.payload)
        try:
            follows = said["before"] == _digests(before.facts, before.file)
            after = cast("Mapping[str, str]", said["after"])
            n_left = int(said["n_left"])
            step = cls(
                before,
                ProbeFacts(before.facts.kind, n_left, after["content"], after["questions"]),
                StoredFile(str(said["path"]), after["file"], int(said["n_bytes"])),
                n_ids=int(said["n_ids"]),
                n_queries=int(said["n_queries"]),
                n_items=int(said["n_items"]),
                event=event,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DigestMismatchError(f"{event.name} tells of no redaction") from error
        if not follows:
            raise DigestMismatchError(
                f"probe set {before.name!r} was redacted from something else than it was: "
                f"{event.name} does not follow from what is told before it"
            )
        return step


def _digests(facts: ProbeFacts, file: StoredFile) -> dict[str, Json]:
    return {"content": facts.digest, "questions": facts.questions, "file": file.digest}


def find_probe_redactions(
    line: Iterable[Event], registered: ProbeSet
) -> tuple[ProbeRedaction, ...]:
    """Return the chain of a set as it was registered, oldest first; mostly it is empty.

    Raises:
        DigestMismatchError: if a step does not begin where the one before it ended.
    """
    found: list[ProbeRedaction] = []
    for event in line:
        if event.kind is EventKind.PROBE_REDACTED and event.payload.get("probe") == registered.name:
            before = found[-1].after if found else registered
            found.append(ProbeRedaction.from_event(event, before))
    return tuple(found)


def last_of(registered: ProbeSet, steps: Sequence[ProbeRedaction]) -> ProbeSet:
    """Return a set as it is at the end of its chain."""
    return steps[-1].after if steps else registered


def since_measured(
    steps: Sequence[ProbeRedaction], certificate: Certificate
) -> tuple[ProbeRedaction, ...]:
    """Return what was taken out of a set since it was what a certificate names."""
    digest = certificate.probe_set.get("digest")
    for number, step in enumerate(steps):
        if step.before.facts.digest == digest:
            return tuple(steps[number:])
    return ()


def describe_probe_redactions(steps: Sequence[ProbeRedaction]) -> str:
    """Return in a sentence what was taken out of the set that was measured on, or nothing."""
    if not steps:
        return ""
    told = "; ".join(step.words for step in steps)
    return (
        f"probe set {steps[0].before.name!r}, on which it was measured, is redacted: {told}; "
        "nobody can be asked all of its queries again"
    )
