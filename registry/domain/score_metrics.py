"""Metrics of scores and thresholds, as a policy names them; all are shares, larger is better.

TAR@FAR=0.01          genuine pairs that match at the threshold that keeps this FAR
TPIR@FPIR=0.01        probes identified at the threshold that keeps this FPIR
TAR@score=0.62        genuine pairs that match at the threshold that is deployed
TRR@score=0.62        impostor pairs that do not match at it: 1 - FAR
FAR<=1.5x@score=0.62  the FAR at it, held against so many times that of the baseline
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ..errors import InvalidInputError

KNOWN = "TAR@FAR=f, TPIR@FPIR=f, TAR@score=t, TRR@score=t, FAR<=rx@score=t"

_NUMBER = r"[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?"
_NAMED = re.compile(rf"(\w+)(?:<=({_NUMBER})x)?@([A-Za-z]+)=({_NUMBER})")
_SHARES = {"FAR": ("TAR",), "FPIR": ("TPIR",), "score": ("TAR", "TRR")}
_INSTEAD = {  # how the same is written here, and why
    ("FNMR", "FMR"): ("TAR@FAR", "TAR is 1 - FNMR"),
    ("FNMR", "FAR"): ("TAR@FAR", "TAR is 1 - FNMR"),
    ("FRR", "FAR"): ("TAR@FAR", "TAR is 1 - FRR"),
    ("TMR", "FMR"): ("TAR@FAR", "TAR is TMR, and FAR is FMR"),
    ("TAR", "FMR"): ("TAR@FAR", "FAR is FMR"),
    ("FNIR", "FPIR"): ("TPIR@FPIR", "TPIR is 1 - FNIR"),
    ("FNMR", "score"): ("TAR@score", "TAR is 1 - FNMR"),
    ("FRR", "score"): ("TAR@score", "TAR is 1 - FRR"),
    ("FMR", "score"): ("TRR@score", "TRR is 1 - FMR"),
    ("FAR", "score"): ("TRR@score", "TRR is 1 - FAR"),
}


@dataclass(frozen=True, slots=True)
class ScoreMetric:
    """A share of pairs or probes at one operating point.

    Attributes:
        share: ``TAR``, ``TRR`` or ``TPIR``; for a ratio ``TRR``, from which it is computed.
        at: what is given: a ``FAR`` or ``FPIR`` to keep, or a ``score`` that is deployed.
        value: that rate, in (0, 1), or that score.
        text: the value as it was written.
        max_ratio: how many times the baseline's FAR is accepted, at least 1; None if no ratio is
            asked for.
    """

    share: str
    at: str
    value: float
    text: str
    max_ratio: float | None = None

    @property
    def measured(self) -> str:
        """The metric that is measured in every cell for it."""
        return f"{self.share}@{self.point}"

    @property
    def point(self) -> str:
        """The operating point: ``FAR=0.01``, ``FPIR=0.01`` or ``score=0.62``."""
        return f"{self.at}={self.text}"

    @property
    def is_about_rejecting(self) -> bool:
        """Whether a model that accepts nothing at all would have the best value."""
        return self.share == "TRR"


def parse_score_metric(name: str) -> ScoreMetric | None:
    """Return the metric of scores that a name means, or None if it means none.

    Raises:
        InvalidInputError: if it is one that policies do not have, or its number is out of range.
    """
    found = _NAMED.fullmatch(name)
    if found is None:
        return None
    share, ratio, at, text = found.groups()
    if (share, at) in _INSTEAD and ratio is None:
        better, why = _INSTEAD[share, at]
        raise InvalidInputError(
            f"no metric is named {name!r}: in a policy larger is better",
            hint=f"write {better}={text}: {why}",
        )
    if ratio is not None and (share, at) == ("FAR", "score"):
        return ScoreMetric("TRR", at, _score(name, text), text, _ratio(name, ratio))
    if ratio is not None or share not in _SHARES.get(at, ()):
        return None
    value = _score(name, text) if at == "score" else _rate(name, text)
    return ScoreMetric(share, at, value, text)


def _rate(name: str, text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise InvalidInputError(f"{name}: an error rate must be in (0, 1), not {text}")
    return value


def _score(name: str, text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidInputError(f"{name}: a score must be finite, not {text}")
    return value


def _ratio(name: str, text: str) -> float:
    value = float(text)
    if not 1 <= value <= 1000:
        raise InvalidInputError(
            f"{name}: the ratio must be in [1, 1000], not {text}",
            hint="1x: no more false accepts than today; 1.5x: half as many again",
        )
    return value
