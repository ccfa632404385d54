"""How well queries of one version find items embedded by another: arrays in, arrays out."""

from .compatibility import (
    CompatibilityMatrix,
    average_compatibility,
    average_multi_model_accuracy,
    flip_rates,
    update_gain,
)
from .qrels import Qrels, relevance_from_qrels
from .ranking import RankingScores, Relevance, score_rankings
from .summaries import (
    UpgradeScores,
    backward_compatibility,
    compatibility_tax,
    forward_compatibility,
    upgrade_scores,
)

__all__ = [
    "CompatibilityMatrix",
    "Qrels",
    "RankingScores",
    "Relevance",
    "UpgradeScores",
    "average_compatibility",
    "average_multi_model_accuracy",
    "backward_compatibility",
    "compatibility_tax",
    "flip_rates",
    "forward_compatibility",
    "relevance_from_qrels",
    "score_rankings",
    "update_gain",
    "upgrade_scores",
]
