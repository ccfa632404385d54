"""Omniglot's background set, 28×28 at 16 levels of grey, and how the demo splits it.

References:
    [1] Lake, Salakhutdinov, Tenenbaum. Human-level concept learning through probabilistic program
        induction. Science 350, 2015. MIT licence: LICENSE.omniglot.txt.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from registry.arrays import Int64Array, LabelArray
from registry.errors import DigestMismatchError, NotFoundError

# tools/pack_omniglot.py made the file and printed this.
SHA256: Final = "d602619190f1af8fbe15cfb73c9990aa3d18ef99e082b87ffcb614c3d9c9f07b"
_SIDE: Final = 28
_LEVELS: Final = 15

N_OLD_CLASSES: Final = 150
N_NEW_CLASSES: Final = 500
TRAINING_DRAWERS: Final = range(1, 11)
GALLERY_DRAWERS: Final = range(11, 15)
NEW_ITEM_DRAWERS: Final = range(15, 16)
QUERY_DRAWERS: Final = range(16, 21)

NEW_ONLY: Final = "new-only"
UNSEEN: Final = "unseen"


@dataclass(frozen=True, slots=True)
class Omniglot:
    """All images: 964 characters of 30 alphabets, each drawn once by 20 people.

    Attributes:
        images: ink on zero, 0 to 255. Shape: (19280, 28, 28), uint8.
        labels: number of the character, 0 to 963. Shape: (19280,).
        alphabets: number of the alphabet, 0 to 29. Shape: (19280,).
        drawers: number of the drawer, 1 to 20. Shape: (19280,).
        class_names: by character, as ``Latin/character01``.
        alphabet_names: by alphabet.
    """

    images: NDArray[np.uint8]
    labels: Int64Array
    alphabets: Int64Array
    drawers: Int64Array
    class_names: tuple[str, ...]
    alphabet_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoSplit:
    """Rows of `Omniglot` for each part of the demo. Characters decide who has seen what.

    No drawer of the gallery, of the new items or of the queries drew anything for training, nor for
    another part.

    Attributes:
        old_training: drawings of the old model's characters.
        new_training: drawings of the new model's characters, the old model's among them.
        gallery: drawings of characters that the old model was not trained on.
        new_items: more of them, to be added later.
        queries: more of them, to search with.
        groups: for each of the 964 characters, ``new-only`` if only the new model was trained on
            it, ``unseen`` if neither was, or empty if both were. Shape: (964,).
    """

    old_training: Int64Array
    new_training: Int64Array
    gallery: Int64Array
    new_items: Int64Array
    queries: Int64Array
    groups: LabelArray


def load_omniglot(path: Path | None = None) -> Omniglot:
    """Return the data set, after checking the file's digest.

    Args:
        path: another copy of the file, or None for the one that ships with samespace.

    Raises:
        NotFoundError: if the file is missing.
        DigestMismatchError: if its bytes are not those that were packed; nothing is parsed.
    """
    source = path or Path(__file__).with_name("omniglot28.npz")
    if not source.is_file():
        raise NotFoundError(f"there is no {source}", hint="install samespace anew")
    data = source.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise DigestMismatchError(
            f"{source} has the SHA-256 {found} but {SHA256} was recorded",
            hint="install samespace anew",
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Omniglot(
            images=_images(file["nibbles"]),
            labels=file["label"].astype(np.int64),
            alphabets=file["alphabet"].astype(np.int64),
            drawers=file["drawer"].astype(np.int64),
            class_names=tuple(str(name, "utf-8") for name in file["class_names"]),
            alphabet_names=tuple(str(name, "utf-8") for name in file["alphabet_names"]),
        )


def _images(nibbles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    levels = np.stack([nibbles >> 4, nibbles & _LEVELS], axis=2)
    return levels.reshape(-1, _SIDE, _SIDE) * np.uint8(255 // _LEVELS)


def demo_split(data: Omniglot, seed: int) -> DemoSplit:
    """Return the demo's split: characters at random, drawers by number.

    Args:
        data: the whole set.
        seed: decides which characters train which model.
    """
    n_classes = len(data.class_names)
    order = np.random.default_rng(seed).permutation(n_classes)
    groups = np.full(n_classes, UNSEEN, dtype=object)
    groups[order[:N_NEW_CLASSES]] = NEW_ONLY
    groups[order[:N_OLD_CLASSES]] = ""
    new = np.isin(data.labels, order[:N_NEW_CLASSES])
    old = np.isin(data.labels, order[:N_OLD_CLASSES])

    def rows(chosen: NDArray[np.bool_], drawers: range) -> Int64Array:
        return np.flatnonzero(chosen & np.isin(data.drawers, drawers))

    return DemoSplit(
        old_training=rows(old, TRAINING_DRAWERS),
        new_training=rows(new, TRAINING_DRAWERS),
        gallery=rows(~old, GALLERY_DRAWERS),
        new_items=rows(~old, NEW_ITEM_DRAWERS),
        queries=rows(~old, QUERY_DRAWERS),
        groups=groups,
    )
