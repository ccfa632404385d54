"""What a report is made of. A part that was not measured is absent, and said to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, cast

from compat.evidence import Evidence
from compat.leaks import Leaks, list_leaks
from registry.domain.certificates import Certificate, Verdict
from registry.domain.conclusions import LEAKAGE, combine

Matrix = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One certificate with the numbers that it rests on.

    Attributes:
        certificate: the certificate.
        evidence: per-query numbers of every measured cell.
        staleness: why it holds no longer, or None if it does.
    """

    certificate: Certificate
    evidence: Evidence
    staleness: str | None = None

    @property
    def is_rollback(self) -> bool:
        """Whether it speaks of the way back: the baseline's queries on other vectors."""
        return self.certificate.query_version == self.certificate.baseline_version

    @property
    def cell(self) -> str:
        """Name of the certified cell in the matrix and in the evidence."""
        return f"{self.certificate.query_version} -> {self.certificate.gallery_version}"

    @property
    def baseline_cell(self) -> str:
        """Name of the cell that it is held against."""
        return f"{self.certificate.baseline_version} -> {self.certificate.baseline_version}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the policy requires, each once."""
        return tuple(dict.fromkeys(f.metric for f in self.certificate.findings))

    @property
    def leaks(self) -> Leaks | None:
        """Which queries are in the training data, or None if none were looked through."""
        found = self.evidence.planted.get(LEAKAGE)
        if found is None:
            return None
        limit = self.certificate.policy["near_duplicate"]
        return list_leaks(self.evidence.asked.ids, found, cast("float", limit))


class RocPoint(NamedTuple):
    """One operating point of verification; both are shares in [0, 1]."""

    false_match_rate: float
    true_match_rate: float


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Verification by the scores of one cell.

    Attributes:
        cell: the cell's name in the matrix.
        points: operating points, in ascending order of the false match rate.
    """

    cell: str
    points: tuple[RocPoint, ...]


class BackfillPoint(NamedTuple):
    """Quality once a share of the gallery, in [0, 1], is embedded by the new version."""

    share: float
    value: float


@dataclass(frozen=True, slots=True)
class BackfillCurve:
    """Quality while the gallery is embedded again.

    Attributes:
        metric: what is measured.
        points: in ascending order of the share.
        items: the version that made the items, where there may be several.
    """

    metric: str
    points: tuple[BackfillPoint, ...]
    items: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """All that one report shows.

    Attributes:
        entries: the certificates of one certification, those of the way back last.
        written_at: when, in UTC.
        is_dry_run: whether nothing was recorded.
        roc: verification, if scores were measured.
        backfill: the backfill curve, if mixed galleries were measured.
    """

    entries: tuple[Entry, ...]
    written_at: datetime
    is_dry_run: bool = False
    roc: tuple[RocCurve, ...] = ()
    backfill: tuple[BackfillCurve, ...] = ()

    @property
    def claims(self) -> tuple[Entry, ...]:
        """What promotion needs; the way back only where nothing else is there."""
        return tuple(e for e in self.entries if not e.is_rollback) or self.entries

    @property
    def verdict(self) -> Verdict:
        """The verdict on what promotion needs."""
        return combine(entry.certificate.verdict for entry in self.claims)

    @property
    def deciding(self) -> Entry:
        """The first claim whose verdict is that of the whole."""
        return next(e for e in self.claims if e.certificate.verdict is self.verdict)

    @property
    def matrices(self) -> dict[str, Matrix]:
        """The measured matrices by the version whose items were searched.

        There is one for each version that the gallery holds, for their items differ; the way back
        is measured on the same items as the way forward.
        """
        found: dict[str, Matrix] = {}
        for entry in self.entries:
            made = entry.certificate
            found.setdefault(str(made.baseline_version), made.matrix)
        return found

    @property
    def has_mixed(self) -> bool:
        """Whether galleries that are partly embedded again were measured."""
        return any(" -> mixed " in cell for matrix in self.matrices.values() for cell in matrix)

    @property
    def limits(self) -> tuple[str, ...]:
        """What was not tested: as the certificates say, and what is absent here."""
        said = [limit for entry in self.entries for limit in entry.certificate.limits]
        absent = [
            (not self.roc, "Score distributions and verification errors (ROC) were not measured."),
            (
                not self.backfill and not self.has_mixed,
                "Galleries that are partly embedded again (the backfill curve) were not measured.",
            ),
            (
                all(entry.evidence.asked.groups is None for entry in self.entries),
                "No groups of queries were declared: a loss in some can hide in the whole.",
            ),
        ]
        return tuple(dict.fromkeys([*said, *(text for is_absent, text in absent if is_absent)]))
