"""Training objectives, one a file."""

from .catalog import OBJECTIVES, build_objective
from .protocol import CompatBatch, LossTerms, Objective, Setting

__all__ = ["OBJECTIVES", "CompatBatch", "LossTerms", "Objective", "Setting", "build_objective"]
