from __future__ import annotations

import pytest
import torch

from compat.augmentation import Augmentation, random_views
from registry.errors import InvalidInputError


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_none_returns_the_images_themselves() -> None:
    images = torch.zeros(2, 8, 8, dtype=torch.uint8)
    assert random_views(images, Augmentation(), rng()) is images


def test_views_follow_the_generator_and_leave_the_images_alone() -> None:
    images = (torch.rand(3, 2, 9, 9) * 255).to(torch.uint8)
    before = images.clone()
    much = Augmentation(rotation=20, shift=0.1, scale=0.2, shear=0.1)
    first, second = random_views(images, much, rng()), random_views(images, much, rng())
    assert torch.equal(first, second)
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert torch.equal(images, before)
    assert not torch.equal(first, images.float())


def test_a_shift_moves_by_at_most_its_share() -> None:
    images = torch.zeros(200, 21, 21)
    images[:, 10, 10] = 1.0
    views = random_views(images, Augmentation(shift=0.1), rng())
    weight = views.sum(dim=(1, 2))
    torch.testing.assert_close(weight, torch.ones(200), rtol=1e-4, atol=1e-4)
    places = torch.arange(21.0)
    rows = (views.sum(dim=2) * places).sum(dim=1) - 10
    columns = (views.sum(dim=1) * places).sum(dim=1) - 10
    for moved in (rows, columns):
        assert moved.abs().max() <= 2.1 + 1e-3
        assert moved.min() < -1.8
        assert moved.max() > 1.8


def test_a_rotation_turns_by_at_most_its_angle() -> None:
    images = torch.zeros(200, 41, 41)
    images[:, 20, 35] = 1.0  # 15 to the right of the centre
    views = random_views(images, Augmentation(rotation=10), rng())
    places = torch.arange(41.0)
    rows = (views.sum(dim=2) * places).sum(dim=1) - 20
    angles = torch.rad2deg(torch.asin(rows / 15))
    assert angles.abs().max() < 10.5
    assert angles.abs().max() > 8


def test_padding_fills_with_zeros_or_the_border() -> None:
    images = torch.ones(20, 8, 8)
    moved = Augmentation(shift=0.3)
    assert random_views(images, moved, rng()).min() == 0
    border = Augmentation(shift=0.3, padding="border")
    assert random_views(images, border, rng()).min() == pytest.approx(1)


def test_feature_vectors_cannot_be_augmented() -> None:
    with pytest.raises(InvalidInputError, match="are no images"):
        random_views(torch.zeros(3, 8), Augmentation(shift=0.1), rng())


def test_negative_amounts_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least 0"):
        Augmentation(rotation=-1)


def test_views_are_counted_and_need_an_augmentation() -> None:
    assert Augmentation(flip=True, views=1).views == 1
    for wrong in (0, -2):
        with pytest.raises(InvalidInputError, match=f"must be at least 1 but are {wrong}") as info:
            Augmentation(flip=True, views=wrong)
        assert "fresh view" in (info.value.hint or "")
    with pytest.raises(InvalidInputError, match=r"3 views .* no augmentation") as info:
        Augmentation(views=3, padding="border")
    assert "drop views" in (info.value.hint or "")


def test_a_flip_mirrors_about_half_of_the_images() -> None:
    images = torch.zeros(200, 5, 4)
    images[:, :, 0] = 1.0
    views = random_views(images, Augmentation(flip=True), rng())
    is_mirrored = views[:, 0, 3] > 0.5
    assert 70 < int(is_mirrored.sum()) < 130
    torch.testing.assert_close(views[is_mirrored], images[is_mirrored].flip(-1))
    torch.testing.assert_close(views[~is_mirrored], images[~is_mirrored])
