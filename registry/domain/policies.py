"""Policies: what has to be shown before a version may be promoted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..errors import InvalidInputError
from .canonical import Json, digest_json
from .certificates import Criterion

_METRIC = re.compile(r"mAP|MRR|mAP@R|(hit|recall|nDCG|kept)@[1-9][0-9]*")
_BEFORE: Mapping[str, Json] = {
    "average": "ratio",
    "largest_unit": None,
    "min_units": 1,
    "max_leaked": 1.0,
    "near_duplicate": 1.0,
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One claim that must hold in every group of queries.

    Attributes:
        metric: a per-query metric: ``mAP`` (AP of each query), ``MRR`` (reciprocal rank),
            ``mAP@R``, ``hit@k``, ``recall@k``, ``nDCG@k``, or ``kept@k``: 0 where the old query had
            a relevant item among its first k and the new one has none, else 1.
        criterion: better than the baseline, or not worse by more than the margin.
        margin: how much worse is still accepted, in units of the metric; 0 for superiority.
    """

    metric: str
    criterion: Criterion
    margin: float = 0.0

    def __post_init__(self) -> None:
        if not _METRIC.fullmatch(self.metric):
            raise InvalidInputError(
                f"no metric is named {self.metric!r}",
                hint="known: mAP, mAP@R, MRR, hit@k, recall@k, nDCG@k, kept@k",
            )
        is_loss_free = self.criterion is Criterion.SUPERIORITY or self.margin == 0
        if self.metric.startswith("kept@") and is_loss_free:
            raise InvalidInputError(
                f"{self.metric} needs a margin: no sample shows that nothing at all is lost",
                hint="set criterion = 'non-inferiority' and margin, the share that may be lost",
            )
        if self.criterion is Criterion.SUPERIORITY and self.margin != 0:
            raise InvalidInputError(
                f"{self.metric}: superiority has no margin but got {self.margin}",
                hint="set margin = 0, or criterion = 'non-inferiority'",
            )
        if not 0 <= self.margin < 1:
            raise InvalidInputError(f"{self.metric}: margin must be in [0, 1), not {self.margin}")

    def to_json(self) -> dict[str, Json]:
        """Return the requirement as JSON values."""
        return {"metric": self.metric, "criterion": self.criterion.value, "margin": self.margin}

    def __str__(self) -> str:
        if self.criterion is Criterion.SUPERIORITY:
            return f"{self.metric} better"
        return f"{self.metric} not worse by more than {self.margin:g}"


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a certification. Another policy makes another certificate.

    Attributes:
        requirements: claims that must all hold, in every group.
        confidence_level: of each one-sided bound, in (0, 1).
        n_resamples: resamples behind each bound.
        control_margin: the old model, taken as candidate, must pass with this margin.
        valid_days: how long a certificate lives.
        unit: what is resampled as a whole: ``class`` speaks of other classes (or identities) too,
            ``query`` only of other queries of the same ones.
        average: what counts once in a mean: ``unit`` or ``query``. ``ratio`` is only read back:
            queries, by a bound that does not hold for units of unequal size (ADR 10).
        min_units: a group with fewer independent units is INCONCLUSIVE, whatever its bounds.
        largest_unit: with ``query``, the most queries that any unit of the population has.
        growth: a certificate is stale once the gallery holds more than this many times the
            items that it was measured on; at 1.1 also once a tenth of them came or went.
        seed: of the resampling and of the planted controls.
        max_leaked: share of the queries that may be found in the candidate's training data.
        near_duplicate: a query is found there if its cosine with a training vector is this large,
            or if an item of its id is there.
    """

    requirements: tuple[Requirement, ...] = (
        Requirement("mAP", Criterion.SUPERIORITY),
        Requirement("hit@1", Criterion.NON_INFERIORITY, 0.02),
    )
    confidence_level: float = 0.95
    n_resamples: int = 20_000
    control_margin: float = 0.02
    valid_days: int = 90
    growth: float = 1.1
    seed: int = 0
    unit: str = "class"
    average: str = "unit"
    largest_unit: int | None = None
    min_units: int = 10
    max_leaked: float = 0.0
    near_duplicate: float = 0.998

    def __post_init__(self) -> None:
        self._check_types()
        if not self.requirements:
            raise InvalidInputError("a policy needs at least one requirement")
        if self.unit not in ("class", "query"):
            raise InvalidInputError(f"unit must be 'class' or 'query' but got {self.unit!r}")
        self._check_average()
        if not 0.5 <= self.confidence_level < 1:
            raise InvalidInputError(
                f"confidence_level must be in [0.5, 1) but got {self.confidence_level}"
            )
        if not 1 <= self.valid_days <= 3650:
            raise InvalidInputError(f"valid_days must be in [1, 3650] but got {self.valid_days}")
        if self.min_units < 1:
            raise InvalidInputError(f"min_units must be at least 1 but got {self.min_units}")
        if not (1 <= self.growth <= 1e6 and 0 <= self.control_margin < 1):
            raise InvalidInputError("growth must be in [1, 1e6] and control_margin in [0, 1)")
        if not (0 <= self.max_leaked <= 1 and 0 < self.near_duplicate <= 1):
            raise InvalidInputError(
                "max_leaked must be in [0, 1] and near_duplicate in (0, 1] "
                f"but got {self.max_leaked} and {self.near_duplicate}"
            )

    def _check_average(self) -> None:
        if self.average not in ("unit", "query", "ratio"):
            raise InvalidInputError(f"average must be 'unit' or 'query' but got {self.average!r}")
        is_needed = self.average == "query" and self.unit != "query"
        if is_needed and self.largest_unit is None:
            raise InvalidInputError(
                "average = 'query' needs largest_unit, the most queries that any class can have",
                hint="give it, or let every class count once: average = 'unit'",
            )
        if self.largest_unit is not None and not (is_needed and self.largest_unit >= 1):
            raise InvalidInputError(
                f"largest_unit must be at least 1, and goes with average = 'query' and "
                f"unit = 'class', but got {self.largest_unit}"
            )

    def _check_types(self) -> None:
        numbers = ("confidence_level", "control_margin", "growth", "max_leaked", "near_duplicate")
        whole: tuple[str, ...] = ("n_resamples", "valid_days", "seed", "min_units")
        if self.largest_unit is not None:
            whole = (*whole, "largest_unit")
        for name in (*numbers, *whole):
            value = getattr(self, name)
            kinds = int if name in whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise InvalidInputError(f"policy: {name} must be a number but got {value!r}")

    def to_json(self) -> dict[str, Json]:
        """Return the policy as JSON values.

        What came to policies later is left out where it says what held before, so that a policy
        which was recorded before keeps its digest.
        """
        later: dict[str, Json] = {
            "average": self.average,
            "largest_unit": self.largest_unit,
            "min_units": self.min_units,
            "max_leaked": self.max_leaked,
            "near_duplicate": self.near_duplicate,
        }
        value: dict[str, Json] = {
            "requirements": [r.to_json() for r in self.requirements],
            "confidence_level": self.confidence_level,
            "n_resamples": self.n_resamples,
            "control_margin": self.control_margin,
            "valid_days": self.valid_days,
            "growth": self.growth,
            "seed": self.seed,
            "unit": self.unit,
        }
        return value | {name: given for name, given in later.items() if given != _BEFORE[name]}

    @classmethod
    def recorded(cls, value: Mapping[str, Any]) -> Policy:
        """Read the policy of a certificate; missing keys mean what held when it was recorded.

        Raises:
            InvalidInputError: if a key is unknown or a value breaks a rule.
        """
        return cls.from_json({**_BEFORE, **value})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Policy:
        """Read a parsed policy file; missing keys take their defaults.

        Raises:
            InvalidInputError: if a key is unknown or a value breaks a rule.
        """
        _refuse_unknown("policy", value, [key.name for key in fields(cls)])
        given = dict(value)
        if "requirements" in given:
            given["requirements"] = _requirements(given["requirements"])
        return cls(**given)

    @property
    def digest(self) -> str:
        """SHA-256 of the policy's canonical JSON."""
        return digest_json(self.to_json())


def _requirements(values: Sequence[Mapping[str, Any]]) -> tuple[Requirement, ...]:
    found = []
    for value in values:
        _refuse_unknown("requirement", value, ("metric", "criterion", "margin"))
        try:
            criterion = Criterion(str(value["criterion"]))
            margin = float(value.get("margin", 0.0))
            found.append(Requirement(str(value["metric"]), criterion, margin))
        except (KeyError, ValueError) as error:
            raise InvalidInputError(
                f"policy: a requirement is wrong: {error}",
                hint="each has a metric, a criterion ('superiority' or 'non-inferiority') "
                "and a margin",
            ) from error
    return tuple(found)


def _refuse_unknown(
    what: str, value: Mapping[str, Any], known: Mapping[str, Any] | Sequence[str]
) -> None:
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise InvalidInputError(
            f"{what}: unknown key {unknown[0]!r}", hint="known: " + ", ".join(known)
        )
