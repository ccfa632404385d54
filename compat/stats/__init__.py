"""What may be concluded from per-query numbers, and with which confidence."""

from .bounds import DifferenceBounds, paired_difference_bounds
from .decide import combine, decide

__all__ = ["DifferenceBounds", "combine", "decide", "paired_difference_bounds"]
