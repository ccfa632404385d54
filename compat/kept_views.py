"""Views that a run keeps: drawn once, and embedded by its frozen teachers once.

With `Augmentation.views` = V every image has V views, and epoch e, counted from 0, sees number
e mod V of all of them. A view's maps are drawn for all rows at once, from the run's seed and the
view's number. Teachers embed it in the order of the data, in batches of the run's size, when an
epoch first needs it. So what a step sees depends neither on the batches that rows come in, nor on
where a run was resumed, nor on the number of processes. Targets are of the very view that the
encoder in training sees, as BT² wants them [1]; its released code keeps those of one other view.

The tables take V * n * dim * 4 bytes for each teacher.

References:
    [1] Zhou et al., "BT²: backward-compatible training with basis transformation", ICCV 2023.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from .augmentation import Augmentation, random_maps
from .devices import place
from .encoders import Encoder
from .seeds import derive_seed
from .training_options import TrainingData
from .training_step import Run, views_of

_PLACE: Final = (0, 5)  # of the draw in the run's seeds


class KeptViews:
    """What the epochs of a run see; fills as they come.

    Args:
        run: the parts.
        data: on the run's device, or not.
    """

    def __init__(self, run: Run, data: TrainingData) -> None:
        self._run, self._data = run, data
        self._tables: dict[int, tuple[Tensor | None, Tensor | None]] = {}

    def of_epoch(self, epoch: int) -> tuple[TrainingData, Tensor | None]:
        """Return the data, with the teachers' features of an epoch's view, and the view's maps.

        Where no views are kept, it returns the data as they are and no maps. Processes that train
        together call it alike.

        Args:
            epoch: counted from 0.

        Returns:
            The second's shape: (n, 2, 3).
        """
        augmentation = self._run.options.augmentation
        if augmentation.views is None:
            return self._data, None
        view = epoch % augmentation.views
        maps = maps_of_view(view, len(self._data.labels), augmentation, self._run.options.seed)
        if view not in self._tables:
            teachers = (self._run.teachers.old, self._run.teachers.twin)
            old, twin = (_embedded(t, self._run, self._data, maps) for t in teachers)
            self._tables[view] = (old, twin)
        old, twin = self._tables[view]
        return replace(self._data, old_features=old, twin_features=twin), maps


def maps_of_view(view: int, n: int, augmentation: Augmentation, seed: int) -> Tensor | None:
    """Return the maps that make one view of all rows; see `random_maps`.

    Args:
        view: its number, from 0.
        n: number of rows.
        augmentation: how far it may go.
        seed: the run's.

    Returns:
        Shape: (n, 2, 3).
    """
    rng = torch.Generator().manual_seed(derive_seed(seed, *_PLACE, view))
    return random_maps(n, augmentation, rng)


def _embedded(
    teacher: Encoder | None, run: Run, data: TrainingData, maps: Tensor | None
) -> Tensor | None:
    """Return a teacher's features of a view of all rows; each process computes its part of them."""
    if teacher is None:
        return None
    n = len(data.labels)
    table = place(torch.zeros(n, teacher.dim), run.device, run.options.data_on_device)
    batches = torch.split(torch.arange(n), run.options.batch_size)
    for rows in batches[run.workers.part(len(batches))]:
        views = views_of(run, data, rows, None if maps is None else maps[rows])
        with torch.no_grad(), run.autocast():
            table[int(rows[0]) : int(rows[-1]) + 1] = teacher(views)
    run.workers.complete(table, run.device)
    return table
