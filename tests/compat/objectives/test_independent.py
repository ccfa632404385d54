from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from compat.objectives.independent import Options, build
from compat.objectives.protocol import CompatBatch, Setting
from registry.errors import InvalidInputError

SETTING = Setting(dim=6, n_classes=4, labels=torch.arange(4))


def batch() -> CompatBatch:
    torch.manual_seed(0)
    return CompatBatch(torch.randn(9, 6), None, torch.arange(9) % 4)


def test_it_is_the_cross_entropy_of_an_affine_classifier() -> None:
    objective = build(Options(label_smoothing=0.0, scale=2), SETTING)
    given = batch()
    linear = objective.classifier.linear
    logits = 2 * (given.features @ linear.weight.T + linear.bias)
    expected = functional.cross_entropy(logits, given.labels)
    torch.testing.assert_close(objective(given)["classification"], expected)


def test_with_zero_weights_every_class_is_as_likely() -> None:
    objective = build(Options(), SETTING)
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.zero_()
    loss = objective(batch())["classification"].detach()
    assert float(loss) == pytest.approx(math.log(4), rel=1e-6)


def test_cosine_logits_do_not_know_lengths() -> None:
    objective = build(Options(cosine=True, scale=16), SETTING)
    given = batch()
    longer = CompatBatch(given.features * 5, None, given.labels)
    torch.testing.assert_close(objective(given), objective(longer))
    assert objective.classifier.linear.bias is None
    assert objective.classifier(given.features).abs().max() <= 16 + 1e-5


def test_it_makes_nothing_compatible() -> None:
    objective = build(Options(), SETTING)
    assert objective.contract is None
    assert not objective.needs_old_features


def test_an_old_model_is_refused_rather_than_ignored() -> None:
    with pytest.raises(InvalidInputError, match="makes nothing compatible"):
        build(Options(), Setting(6, 4, torch.arange(4), torch.ones(4, 3)))


@pytest.mark.parametrize("options", [{"scale": 0}, {"label_smoothing": 1}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        Options(**options)  # type: ignore[arg-type]
