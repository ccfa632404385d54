"""Policies: what has to be shown before a version may be promoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import InvalidInputError
from .attempts import BY_VERDICT, UNCOUNTED, UNTIL_PASSED
from .canonical import Json, digest_json
from .certificates import Criterion
from .places import ON_MIXED, ON_OLD, ON_SERVED, mixed_place
from .requirements import Requirement, read_requirements, refuse_unknown

GAFFKE, BCA = "gaffke", "bca"
_BEFORE: Mapping[str, Json] = {
    "average": "ratio",
    "largest_unit": None,
    "min_units": 1,
    "attempts": UNCOUNTED,
    "planned_attempts": None,
    "groups": None,
    "mixed": (0.25, 0.5, 0.75),
    "bound": GAFFKE,
    "max_leaked": 1.0,
    "near_duplicate": 1.0,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a certification. Another policy makes another certificate.

    Attributes:
        requirements: claims that must all hold, in every group.
        confidence_level: of the claim, over all attempts that share its error, in (0, 1).
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
        attempts: what the attempts on the same questions pay: ``until-passed`` if all that is
            learnt before the next is that one did not pass, ``by-verdict`` if candidates may be
            chosen by the verdicts of earlier ones, which costs more, ``uncounted`` if nothing.
        planned_attempts: how many there will ever be, declared before the first; None if open.
        groups: the groups of queries in which every claim must hold, ``all`` among them if it is
            named; None takes every group that the probe set declares.
        mixed: shares of the gallery, embedded again, at which mixed galleries are measured.
        bound: ``gaffke``, which holds for any number of units (ADR 5), or ``bca``, the bootstrap,
            which is approximate and too sure of itself where losses are rare.
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
    attempts: str = UNTIL_PASSED
    planned_attempts: int | None = None
    groups: tuple[str, ...] | None = None
    mixed: tuple[float, ...] = (0.25, 0.5, 0.75)
    bound: str = GAFFKE
    max_leaked: float = 0.0
    near_duplicate: float = 0.998

    def __post_init__(self) -> None:
        self._check_types()
        if not any(rule.on == ON_OLD for rule in self.requirements):
            raise InvalidInputError(
                "a policy needs at least one requirement on the old vectors, searched exactly",
                hint="drop 'on' from one, or add one without it",
            )
        if self.unit not in ("class", "query"):
            raise InvalidInputError(f"unit must be 'class' or 'query' but got {self.unit!r}")
        self._check_average()
        self._check_attempts()
        self._check_places()
        if self.bound not in (GAFFKE, BCA):
            raise InvalidInputError(f"bound must be 'gaffke' or 'bca' but got {self.bound!r}")
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

    def _check_attempts(self) -> None:
        known = (UNTIL_PASSED, BY_VERDICT, UNCOUNTED)
        if self.attempts not in known:
            raise InvalidInputError(
                f"attempts must be one of {', '.join(known)} but got {self.attempts!r}"
            )
        if self.planned_attempts is not None and self.attempts == UNCOUNTED:
            raise InvalidInputError(
                "planned_attempts has no meaning with attempts = 'uncounted'",
                hint="drop one of the two",
            )
        if self.planned_attempts is not None and self.planned_attempts < 1:
            raise InvalidInputError(
                f"planned_attempts must be at least 1 but got {self.planned_attempts}"
            )

    def _check_places(self) -> None:
        shares = self.mixed
        if not shares or list(shares) != sorted({round(share, 2) for share in shares}):
            raise InvalidInputError(f"mixed must be ascending whole percents but got {shares}")
        if not (shares[0] > 0 and shares[-1] < 1):
            raise InvalidInputError(f"mixed must lie between 0 and 1 but got {shares}")
        if self.groups is not None and not self.groups:
            raise InvalidInputError("groups must name at least one group of queries")

    def places(self, requirement: Requirement, *, is_way_back: bool) -> tuple[str, ...]:
        """Return where a requirement must hold, as findings name it.

        On the way back nothing is served yet, so what is required of the index is not asked.
        """
        if requirement.on == ON_MIXED:
            return tuple(mixed_place(share) for share in self.mixed)
        return () if requirement.on == ON_SERVED and is_way_back else (requirement.on,)

    def asks(self, on: str) -> bool:
        """Whether anything is required there: on ``old``, ``served`` or ``mixed``."""
        return any(rule.on == on for rule in self.requirements)

    def _check_types(self) -> None:
        numbers = ("confidence_level", "control_margin", "growth", "max_leaked", "near_duplicate")
        optional = ("largest_unit", "planned_attempts")
        given = (name for name in optional if getattr(self, name) is not None)
        whole = ("n_resamples", "valid_days", "seed", "min_units", *given)
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
        later: dict[str, Json] = {name: getattr(self, name) for name in _BEFORE}
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
        changed = {name: given for name, given in later.items() if given != _BEFORE[name]}
        lists = {name: list(given) for name, given in changed.items() if isinstance(given, tuple)}
        return value | changed | lists

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
        refuse_unknown("policy", value, [key.name for key in fields(cls)])
        given = dict(value)
        if "requirements" in given:
            given["requirements"] = read_requirements(given["requirements"])
        for name in ("groups", "mixed"):
            if given.get(name) is not None:
                given[name] = _listed(name, given[name])
        return cls(**given)

    @property
    def digest(self) -> str:
        """SHA-256 of the policy's canonical JSON."""
        return digest_json(self.to_json())


def _listed(name: str, value: object) -> tuple[Any, ...]:
    kind = str if name == "groups" else float
    if not isinstance(value, list | tuple) or not all(isinstance(one, kind) for one in value):
        what = "names" if kind is str else "numbers such as 0.25"
        raise InvalidInputError(f"policy: {name} must be a list of {what} but got {value!r}")
    return tuple(value)
