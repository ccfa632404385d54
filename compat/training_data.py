"""Training data from files: numbered classes, and a rehearsal of earlier ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError  # noqa: N812

import numpy as np
import torch
from numpy.typing import NDArray

from registry.arrays import Int64Array
from registry.errors import CorruptFileError, InvalidInputError, NotFoundError

from .training_options import TrainingData


def read_training_data(
    path: Path,
    *,
    rehearsal: Path | None = None,
    per_class: int | None = None,
    rng: np.random.Generator | None = None,
    share: float | None = None,
) -> TrainingData:
    """Read inputs and labels from .npz files; classes are numbered 0, 1, … in order of their label.

    Args:
        path: the data.
        rehearsal: data of earlier classes that come behind them, or None.
        per_class: how many of each class's rehearsal are taken at most; None takes all.
        rng: draws those that are taken; needed with `per_class`.
        share: see `TrainingData.rehearsal_share`.

    Raises:
        NotFoundError: if there is no such file.
        CorruptFileError: if it is not an .npz file of plain arrays.
        InvalidInputError: if an array is missing or has a wrong type or shape, or there is nothing
            of which the share could be taken.
    """
    inputs, labels = _read_file(path, "train")
    n_new = len(labels)
    if rehearsal is not None:
        more, more_labels = _read_file(rehearsal, "rehearsal")
        if more.shape[1:] != inputs.shape[1:] or more.dtype != inputs.dtype:
            raise InvalidInputError(
                f"{rehearsal} has inputs of {more.dtype} and shape {more.shape[1:]}, but {path} of "
                f"{inputs.dtype} and {inputs.shape[1:]}"
            )
        kept = _rehearsed(more_labels, per_class, rng)
        inputs = np.concatenate([inputs, more[kept]])
        labels = np.concatenate([labels, more_labels[kept]])
    classes, numbers = np.unique(labels, return_inverse=True)
    return TrainingData(
        torch.from_numpy(inputs),
        torch.from_numpy(numbers.astype(np.int64)),
        classes=tuple(int(label) for label in classes),
        n_rehearsed=len(labels) - n_new,
        rehearsal_share=share,
    )


def _rehearsed(
    labels: NDArray[Any], per_class: int | None, rng: np.random.Generator | None
) -> Int64Array:
    """Return the rows that are rehearsed, in their order."""
    if per_class is None or rng is None:
        return np.arange(len(labels))
    order = rng.permutation(len(labels))
    _, numbers = np.unique(labels[order], return_inverse=True)
    taken = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=np.int64)
    kept = []
    for row, number in zip(order.tolist(), numbers.tolist(), strict=True):
        if taken[number] < per_class:
            taken[number] += 1
            kept.append(row)
    return np.sort(np.asarray(kept, dtype=np.int64))


def _read_file(path: Path, key: str) -> tuple[NDArray[Any], NDArray[Any]]:
    if not path.is_file():
        raise NotFoundError(f"there is no training data {path}", hint=f"see {key!r} in [data]")
    arrays = _read_arrays(path)
    for name in ("inputs", "labels"):
        if name not in arrays:
            raise InvalidInputError(
                f"{path} holds {', '.join(sorted(arrays)) or 'nothing'} but no {name!r}",
                hint="numpy.savez(path, inputs=…, labels=…)",
            )
    inputs, labels = arrays["inputs"], arrays["labels"]
    if inputs.dtype not in (np.uint8, np.int32, np.int64, np.float32):
        raise InvalidInputError(
            f"inputs must be uint8 or float32, or int32 or int64 for tokens, but are {inputs.dtype}"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InvalidInputError(
            f"labels must be integers of shape (n,) but are {labels.dtype} of {labels.shape}"
        )
    if labels.size and int(labels.max()) > np.iinfo(np.int64).max:
        raise InvalidInputError(f"labels must fit into int64 but {path} has {labels.max()}")
    if inputs.ndim == 0 or len(inputs) != len(labels):
        raise InvalidInputError(
            f"{path} needs one label for each input but has inputs {inputs.shape} and labels "
            f"{labels.shape}"
        )
    return inputs, labels


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, BadZipFile, ZlibError) as error:
        raise CorruptFileError(f"{path} is not an .npz file of plain arrays: {error}") from error
