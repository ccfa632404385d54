"""Array aliases, so that one word means one dtype everywhere."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
# Labels and item ids: one-dimensional, integers or strings.
LabelArray = NDArray[Any]
