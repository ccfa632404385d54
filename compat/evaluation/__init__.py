"""How well queries of one version find items embedded by another: arrays in, arrays out."""

from .compatibility import (
    CompatibilityMatrix,
    average_compatibility,
    average_multi_model_accuracy,
    flip_rates,
    update_gain,
)
from .flips import (
    Flips,
    Guarantee,
    find_flips,
    guarantee_first_hits,
    guarantee_hits,
    guarantee_top,
)
from .identification import Identification, identification_thresholds, identify
from .nearest import nearest_cosines
from .operating_points import AtDeployed, OperatingPoints, Recalibrated, measure_points
from .qrels import Qrels, relevance_from_qrels
from .ranking import RankingScores, Relevance, score_rankings
from .summaries import (
    UpgradeScores,
    backward_compatibility,
    compatibility_tax,
    forward_compatibility,
    upgrade_scores,
)
from .verification import ErrorCurve, MatchCounts, Verification, false_match_ratios, verify

__all__ = [
    "AtDeployed",
    "CompatibilityMatrix",
    "ErrorCurve",
    "Flips",
    "Guarantee",
    "Identification",
    "MatchCounts",
    "OperatingPoints",
    "Qrels",
    "RankingScores",
    "Recalibrated",
    "Relevance",
    "UpgradeScores",
    "Verification",
    "average_compatibility",
    "average_multi_model_accuracy",
    "backward_compatibility",
    "compatibility_tax",
    "false_match_ratios",
    "find_flips",
    "flip_rates",
    "forward_compatibility",
    "guarantee_first_hits",
    "guarantee_hits",
    "guarantee_top",
    "identification_thresholds",
    "identify",
    "measure_points",
    "nearest_cosines",
    "relevance_from_qrels",
    "score_rankings",
    "update_gain",
    "upgrade_scores",
    "verify",
]
