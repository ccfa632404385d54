"""Requirements: single claims of a policy, each of one metric, in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInputError
from .canonical import Json
from .certificates import Criterion
from .places import ON_MIXED, ON_OLD, ON_SERVED
from .score_metrics import KNOWN, parse_score_metric

KEPT, INDEX_RECALL = "kept@", "index-recall@"  # with a k behind
_METRIC = re.compile(r"mAP|MRR|mAP@R|(hit|recall|nDCG|kept)@[1-9][0-9]*")
_OF_INDEX = re.compile(r"index-recall@[1-9][0-9]*")
_SERVED = re.compile(r"(hit|recall|kept)@[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One claim that must hold in every group of queries.

    Attributes:
        metric: a per-query metric: ``mAP`` (AP of each query), ``MRR`` (reciprocal rank),
            ``mAP@R``, ``hit@k``, ``recall@k``, ``nDCG@k``, or ``kept@k``: 0 where the old query had
            a relevant item among its first k and the new one has none, else 1;
            ``index-recall@k``; or one of scores, such as ``TAR@FAR=0.01`` (`score_metrics`).
        criterion: better than the baseline, or not worse by more than the margin.
        margin: how much worse is still accepted, in units of the metric; 0 for superiority.
        on: what is searched: ``old``, the old vectors, exactly; ``served``, those by the gallery's
            own index, compared with old queries by that index; ``mixed``, the gallery partly
            embedded again, at each of the policy's shares.
    """

    metric: str
    criterion: Criterion
    margin: float = 0.0
    on: str = ON_OLD

    def __post_init__(self) -> None:
        self._check_metric()
        is_loss_free = self.criterion is Criterion.SUPERIORITY or self.margin == 0
        if self.metric.startswith(KEPT) and is_loss_free:
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

    def _check_metric(self) -> None:
        if self.on not in (ON_OLD, ON_SERVED, ON_MIXED):
            raise InvalidInputError(
                f"{self.metric}: on must be 'old', 'served' or 'mixed' but got {self.on!r}"
            )
        is_ranking = _METRIC.fullmatch(self.metric) or _OF_INDEX.fullmatch(self.metric)
        if not is_ranking and parse_score_metric(self.metric) is None:
            raise InvalidInputError(
                f"no metric is named {self.metric!r}",
                hint="known: mAP, mAP@R, MRR, hit@k, recall@k, nDCG@k, kept@k, index-recall@k, "
                + KNOWN,
            )
        if _OF_INDEX.fullmatch(self.metric) and self.on != ON_SERVED:
            raise InvalidInputError(
                f"{self.metric} is of the gallery's own index", hint="set on = 'served'"
            )
        measured = _SERVED.fullmatch(self.metric) or _OF_INDEX.fullmatch(self.metric)
        if self.on == ON_SERVED and not measured:
            raise InvalidInputError(
                f"{self.metric} needs the whole ranking, which an index does not give",
                hint="on = 'served' goes with hit@k, recall@k, kept@k and index-recall@k",
            )

    def to_json(self) -> dict[str, Json]:
        """Return the requirement as JSON values."""
        value: dict[str, Json] = {
            "metric": self.metric,
            "criterion": self.criterion.value,
            "margin": self.margin,
        }
        return value if self.on == ON_OLD else value | {"on": self.on}

    def __str__(self) -> str:
        name = self.metric if self.on == ON_OLD else f"{self.metric} on {self.on}"
        if self.criterion is Criterion.SUPERIORITY:
            return f"{name} better"
        if self.metric.startswith("FAR<="):
            return name + (f", missed by at most {self.margin:g}" if self.margin else "")
        return f"{name} not worse by more than {self.margin:g}"


def read_requirements(values: Sequence[Mapping[str, Any]]) -> tuple[Requirement, ...]:
    """Read the requirements of a parsed policy file.

    Raises:
        InvalidInputError: if a key is unknown or a value breaks a rule.
    """
    found = []
    for value in values:
        refuse_unknown("requirement", value, ("metric", "criterion", "margin", "on"))
        try:
            criterion = Criterion(str(value["criterion"]))
            margin = float(value.get("margin", 0.0))
            on = str(value.get("on", ON_OLD))
            found.append(Requirement(str(value["metric"]), criterion, margin, on))
        except (KeyError, ValueError) as error:
            own_hint = error.hint if isinstance(error, InvalidInputError) else None
            raise InvalidInputError(
                f"policy: a requirement is wrong: {error}",
                hint=own_hint
                or "each has a metric, a criterion ('superiority' or 'non-inferiority') "
                "and a margin; 'on' is where",
            ) from error
    return tuple(found)


def refuse_unknown(
    what: str, value: Mapping[str, Any], known: Mapping[str, Any] | Sequence[str]
) -> None:
    """Refuse a table with a key that nobody knows."""
    unknown = sorted(str(key) for key in set(value) - set(known))
    if unknown:
        raise InvalidInputError(
            f"{what}: unknown key {unknown[0]!r}", hint="known: " + ", ".join(known)
        )
