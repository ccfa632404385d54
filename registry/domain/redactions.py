"""Redactions: evidence from which erased items were taken out, as signed events tell.

A certificate names its evidence by digest, and that never changes. When an item is erased, a new
file without its id takes the evidence's place, and an event says which digest follows which. The
evidence of a certificate is the last file of that chain, and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..errors import DigestMismatchError
from .canonical import Json
from .certificates import Certificate
from .events import Event, EventKind


@dataclass(frozen=True, slots=True)
class Redaction:
    """One step of the chain.

    Attributes:
        certificate: digest of the certificate whose evidence it is.
        before: SHA-256 of the file that it replaced.
        after: SHA-256 of the file without the erased ids.
        path: where that file lies in the storage.
        n_ids: how many ids were taken out.
        n_queries: rows in which one stood as the query; their numbers stayed.
        n_hits: places in which one stood among the first items of a query.
        event: the event that tells of it; None until it is recorded.
    """

    certificate: str
    before: str
    after: str
    path: str
    n_ids: int
    n_queries: int
    n_hits: int
    event: Event | None = None

    @property
    def words(self) -> str:
        """What happened, in a few words."""
        by = "" if self.event is None else f" on {self.event.at:%Y-%m-%d} by {self.event.actor}"
        return f"{self.n_ids} ids erased{by}"

    def to_json(self) -> dict[str, Json]:
        """Return what its event says."""
        return {
            "certificate": self.certificate,
            "before": self.before,
            "after": self.after,
            "path": self.path,
            "n_ids": self.n_ids,
            "n_queries": self.n_queries,
            "n_hits": self.n_hits,
        }

    @classmethod
    def from_event(cls, event: Event) -> Redaction:
        """Read what `to_json` wrote.

        Raises:
            DigestMismatchError: if it is something else.
        """
        said = cast("dict[str, Any]", event.payload)
        try:
            return cls(
                certificate=str(said["certificate"]),
                before=str(said["before"]),
                after=str(said["after"]),
                path=str(said["path"]),
                n_ids=int(said["n_ids"]),
                n_queries=int(said["n_queries"]),
                n_hits=int(said["n_hits"]),
                event=event,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DigestMismatchError(f"{event.name} tells of no redaction") from error


def find_redactions(line: Iterable[Event], certificate: Certificate) -> tuple[Redaction, ...]:
    """Return the chain of a certificate's evidence, oldest first; mostly it is empty.

    Raises:
        DigestMismatchError: if a step does not begin where the one before it ended.
    """
    found = tuple(
        Redaction.from_event(event)
        for event in line
        if event.kind is EventKind.EVIDENCE_REDACTED
        and event.payload.get("certificate") == certificate.digest
    )
    digest = certificate.evidence_digest
    for step in found:
        if step.before != digest:
            raise DigestMismatchError(
                f"the evidence of certificate {certificate.digest[:12]} was redacted from "
                f"sha256 {step.before}, but it was sha256 {digest}"
            )
        digest = step.after
    return found


def describe_redactions(redactions: Sequence[Redaction]) -> str:
    """Return in a sentence what was redacted and what that means, or nothing."""
    if not redactions:
        return ""
    steps = ", ".join(step.words for step in redactions)
    return f"its evidence is redacted: {steps}; replay is no longer byte for byte"
