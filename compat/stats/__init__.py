"""What may be concluded from per-query numbers, and with which confidence."""

from .bounds import DifferenceBounds, paired_difference_bounds

__all__ = ["DifferenceBounds", "paired_difference_bounds"]
