"""What may be concluded from per-query numbers, and with which confidence.

NumPy alone: certifying needs no SciPy. What is used where stands in docs/explanation/statistics.md.
"""

from .attempts import needed_resamples, spent_level
from .binary import McNemarResult, mcnemar_exact, paired_proportion_bounds
from .binomial import RateBounds, clustered_rate_bounds, rate_bounds
from .bootstrap import (
    BootstrapBounds,
    Degenerate,
    bca_difference_bounds,
    percentile_difference_bounds,
)
from .bounds import DifferenceBounds, paired_difference_bounds
from .clusters import cluster_means
from .crossed import pigeonhole_difference_bounds
from .multiplicity import (
    GroupBounds,
    Outcome,
    WorstGroup,
    group_outcomes,
    holm_adjusted,
    worst_group,
)
from .p_values import DifferencePValues, paired_difference_p_values
from .planning import (
    RequiredUnits,
    binary_sd,
    further_units,
    required_units,
    resolving_units,
    unit_sd,
)
from .thresholds import (
    false_accept_bounds,
    false_reject_bounds,
    smallest_measurable_rate,
    smallest_supported_rate,
    units_to_support,
)

__all__ = [
    "BootstrapBounds",
    "Degenerate",
    "DifferenceBounds",
    "DifferencePValues",
    "GroupBounds",
    "McNemarResult",
    "Outcome",
    "RateBounds",
    "RequiredUnits",
    "WorstGroup",
    "bca_difference_bounds",
    "binary_sd",
    "cluster_means",
    "clustered_rate_bounds",
    "false_accept_bounds",
    "false_reject_bounds",
    "further_units",
    "group_outcomes",
    "holm_adjusted",
    "mcnemar_exact",
    "needed_resamples",
    "paired_difference_bounds",
    "paired_difference_p_values",
    "paired_proportion_bounds",
    "percentile_difference_bounds",
    "pigeonhole_difference_bounds",
    "rate_bounds",
    "required_units",
    "resolving_units",
    "smallest_measurable_rate",
    "smallest_supported_rate",
    "spent_level",
    "unit_sd",
    "units_to_support",
    "worst_group",
]
