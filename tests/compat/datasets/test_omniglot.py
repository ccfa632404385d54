from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from compat.datasets.omniglot import NEW_ONLY, UNSEEN, Omniglot, demo_split, load_omniglot
from registry.errors import DigestMismatchError, NotFoundError


@pytest.fixture(scope="module")
def omniglot() -> Omniglot:
    return load_omniglot()


def test_it_is_the_whole_background_set(omniglot: Omniglot) -> None:
    assert omniglot.images.shape == (19280, 28, 28)
    assert omniglot.images.dtype == np.uint8
    pairs = np.stack([omniglot.labels, omniglot.drawers], axis=1)
    assert len(np.unique(pairs, axis=0)) == 964 * 20
    assert (len(omniglot.class_names), len(omniglot.alphabet_names)) == (964, 30)
    alphabets = [name.split("/")[0] for name in omniglot.class_names]
    of_image = np.array(omniglot.alphabet_names)[omniglot.alphabets]
    assert (np.array(alphabets)[omniglot.labels] == of_image).all()


def test_ink_is_bright_and_sparse(omniglot: Omniglot) -> None:
    assert 0.07 < omniglot.images.mean() / 255 < 0.09
    assert set(np.unique(omniglot.images)) == set(range(0, 256, 17))
    assert (omniglot.images.reshape(19280, -1).max(axis=1) > 100).all()


def test_the_notice_and_at_most_4_mb_ship_with_it() -> None:
    folder = files("compat.datasets")
    assert "Copyright (c) 2015 Brenden Lake" in (folder / "LICENSE.omniglot.txt").read_text()
    assert len((folder / "omniglot28.npz").read_bytes()) < 4_000_000


def test_a_file_of_another_digest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.npz").write_bytes(b"not even a zip file")
    with pytest.raises(DigestMismatchError, match="was recorded"):
        load_omniglot(tmp_path / "other.npz")
    with pytest.raises(NotFoundError):
        load_omniglot(tmp_path / "none.npz")


def test_the_split_is_disjoint_by_class_and_by_drawer(omniglot: Omniglot) -> None:
    split = demo_split(omniglot, seed=0)

    def classes(rows: np.ndarray) -> set[int]:
        return set(omniglot.labels[rows].tolist())

    def drawers(rows: np.ndarray) -> set[int]:
        return set(omniglot.drawers[rows].tolist())

    old, new = classes(split.old_training), classes(split.new_training)
    assert (len(old), len(new)) == (150, 500)
    assert old < new
    new_only = set(np.flatnonzero(split.groups == NEW_ONLY).tolist())
    unseen = set(np.flatnonzero(split.groups == UNSEEN).tolist())
    assert new_only == new - old
    assert (len(new_only), len(unseen)) == (350, 464)
    assert not unseen & new
    for rows, n in ((split.gallery, 4), (split.new_items, 1), (split.queries, 5)):
        assert classes(rows) == new_only | unseen
        assert len(rows) == n * 814
    parts = (split.new_training, split.gallery, split.new_items, split.queries)
    seen = [drawers(rows) for rows in parts]
    assert set().union(*seen) == set(range(1, 21))
    assert sum(map(len, seen)) == 20


def test_the_split_follows_from_the_seed(omniglot: Omniglot) -> None:
    first, again = demo_split(omniglot, seed=0), demo_split(omniglot, seed=0)
    assert np.array_equal(first.queries, again.queries)
    assert not np.array_equal(first.queries, demo_split(omniglot, seed=1).queries)
    digest = hashlib.sha256(first.old_training.tobytes()).hexdigest()
    assert digest.startswith("eb4d175085cb")
