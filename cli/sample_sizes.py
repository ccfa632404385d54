"""How many units a certification takes, and would have taken, as people and scripts see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compat.sample_size import UnitsMissing, UnitsNeeded
    from registry.domain.canonical import Json

    from .output import Output


@dataclass(slots=True)
class PlanNotes:
    """Says, before anything is measured, what each requirement takes, and keeps it."""

    output: Output
    plan: list[UnitsNeeded] = field(default_factory=list)

    def say(self, plan: Sequence[UnitsNeeded]) -> None:
        """Print one line for each requirement."""
        self.plan.extend(plan)
        for needed in plan:
            self.output.note(_plan_line(needed))


def _plan_line(needed: UnitsNeeded) -> str:
    group, n_units = min(needed.available.items(), key=lambda pair: pair[1])
    where = "there are" if len(needed.available) == 1 else f"the smallest group, {group!r}, has"
    return (
        f"note: {needed.requirement}: takes about {needed.n_units} independent units in each group "
        f"(never fewer than {needed.n_resolving}); {where} {n_units}. Assumed: true difference "
        f"{needed.difference:g}, SD {needed.sd:.2g}, power {needed.power:g}"
    )


def plan_data(plan: Sequence[UnitsNeeded]) -> list[Json]:
    """Return the plan as JSON values."""
    return [
        {
            **needed.requirement.to_json(),
            "n_units": needed.n_units,
            "n_resolving": needed.n_resolving,
            "assumed_difference": needed.difference,
            "assumed_sd": needed.sd,
            "power": needed.power,
            "available": dict(needed.available),
        }
        for needed in plan
    ]


def missing_lines(missing: Sequence[UnitsMissing]) -> list[str]:
    """Return one line for each inconclusive finding: how much more it takes."""
    return [f"{one.metric} in {one.group!r}: {_words(one.n_further)}" for one in missing]


def _words(n_further: int | None) -> str:
    if n_further is None:
        return "more units would not help: what was measured is itself not what is required"
    if n_further == 0:
        return "a close call: so many units usually show it, if the truth is what was measured"
    return (
        f"about {n_further} more independent units would usually show it, if the truth is what "
        "was measured"
    )


def missing_data(missing: Sequence[UnitsMissing]) -> list[Json]:
    """Return the further units as JSON values."""
    return [asdict(one) for one in missing]
