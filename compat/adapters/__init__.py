"""Fitting of maps between models that are not trained anew: arrays in, arrays out."""

from .logit_features import logit_features
from .procrustes import fit_procrustes, fit_rotation, map_queries

__all__ = ["fit_procrustes", "fit_rotation", "logit_features", "map_queries"]
