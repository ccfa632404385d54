"""How well queries of one version find items embedded by another: arrays in, arrays out."""

from .compatibility import (
    CompatibilityMatrix,
    average_compatibility,
    average_multi_model_accuracy,
    flip_rates,
    update_gain,
)
from .ranking import RankingScores, Relevance, score_rankings

__all__ = [
    "CompatibilityMatrix",
    "RankingScores",
    "Relevance",
    "average_compatibility",
    "average_multi_model_accuracy",
    "flip_rates",
    "score_rankings",
    "update_gain",
]
