from __future__ import annotations

import numpy as np

from compat.matrix import cell_name, matrix_of
from compat.probes import Labels
from registry import VersionRef

CELLS = {"a -> b": {"mAP": np.array([0.0, 0.5, 1.0]), "MRR": np.ones(3), "hit@1": np.eye(3)[0]}}


def test_means_over_all_queries_and_each_group() -> None:
    asked = Labels(np.arange(3), np.arange(3), np.array(["x", "y", "y"]))
    assert matrix_of(CELLS, asked) == {
        "a -> b": {
            "all": {"mAP": 0.5, "hit@1": 1 / 3},
            "x": {"mAP": 0.0, "hit@1": 1.0},
            "y": {"mAP": 0.75, "hit@1": 0.0},
        }
    }
    assert list(matrix_of(CELLS, Labels(np.arange(3), np.arange(3)))["a -> b"]) == ["all"]


def test_cells_are_named_by_their_versions() -> None:
    assert cell_name(VersionRef("m", 2), VersionRef("m", 1)) == "m@2 -> m@1"
