from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from compat.objectives import build_objective
from compat.objectives.bct import BCT, Options, build, influence_of
from compat.objectives.geometry import class_prototypes
from compat.objectives.protocol import CompatBatch, Needs, Setting, needs_of
from registry.domain.contracts import Contract, ContractKind
from registry.errors import DimensionMismatchError, InvalidInputError
from tests.compat.objectives.checks import (
    assert_same_with_gradients,
    total,
    train_steps,
    weight_and_bias,
)
from tests.reference import bct as reference

N, DIM, OLD_DIM, N_CLASSES, N_OLD = 30, 7, 4, 5, 3


def with_means() -> Setting:
    labels = torch.arange(N) % N_CLASSES
    return Setting(DIM, N_CLASSES, labels, torch.randn(N, OLD_DIM, dtype=torch.float64))


def with_classifier() -> Setting:
    return replace(
        with_means(),
        old_classifier=torch.randn(N_OLD, OLD_DIM, dtype=torch.float64),
        old_biases=torch.randn(N_OLD, dtype=torch.float64),
        old_classes=torch.tensor([2, -1, 0, -1, 1]),
    )


def random_batch() -> CompatBatch:
    features = torch.randn(12, DIM, dtype=torch.float64, requires_grad=True)
    return CompatBatch(features, None, torch.arange(12) % N_CLASSES)


def assert_equals_reference(objective: BCT, batch: CompatBatch) -> None:
    options = objective.options
    expected = reference.loss(
        batch.features,
        batch.labels,
        classifier=weight_and_bias(objective.classifier.linear),
        old=(objective.weights, objective.biases),
        rows=objective.rows.tolist(),
        weights=(options.new_weight, options.influence_weight),
        smoothing=options.label_smoothing,
        normalised=options.normalised,
    )
    inputs = [batch.features, *objective.parameters()]
    assert_same_with_gradients(total(objective, batch), expected, inputs)


@pytest.mark.parametrize("influence", ["auto", "classifier", "class-means", "both"])
@pytest.mark.parametrize(
    "options",
    [Options(), Options(influence_weight=10, label_smoothing=0), Options(normalised=False)],
)
def test_values_and_gradients_equal_the_reference(options: Options, influence: str) -> None:
    chosen = replace(options, influence=influence)  # type: ignore[arg-type]
    objective = build(chosen, with_classifier()).double()
    assert_equals_reference(objective, random_batch())


def test_a_batch_without_old_classes_has_no_influence() -> None:
    objective = build(Options(), with_classifier()).double()
    features = torch.randn(4, DIM, dtype=torch.float64, requires_grad=True)
    batch = CompatBatch(features, None, torch.tensor([1, 3, 3, 1]))
    assert float(objective(batch)["influence"].detach()) == 0.0
    assert_equals_reference(objective, batch)


def test_gradcheck() -> None:
    objective = build(Options(old_scale=3, new_scale=2, cosine=True), with_classifier()).double()
    labels = torch.arange(6) % N_CLASSES
    features = torch.randn(6, DIM, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f: total(objective, CompatBatch(f, None, labels)), (features,)
    )


def test_the_defaults_are_those_of_the_paper() -> None:
    options = Options()
    assert (options.new_weight, options.influence_weight) == (1, 1)
    assert (options.old_scale, options.new_scale, options.cosine) == (1, 1, False)


def test_what_stands_for_the_old_classifier() -> None:
    setting = with_classifier()
    assert setting.old_features is not None
    assert setting.old_classifier is not None
    own = influence_of("auto", setting)
    assert torch.equal(own.weights, setting.old_classifier)
    assert own.rows.tolist() == [2, -1, 0, -1, 1]

    means = influence_of("auto", with_means())
    assert means.rows.tolist() == [0, 1, 2, 3, 4]
    expected = class_prototypes(setting.old_features, setting.labels, N_CLASSES)
    means = influence_of("class-means", setting)
    torch.testing.assert_close(means.weights, expected)

    both = influence_of("both", setting)
    assert both.rows.tolist() == [2, 3, 0, 4, 1]
    torch.testing.assert_close(both.weights[3:], expected[[1, 3]])
    assert both.biases[3:].tolist() == [0, 0]


def test_by_default_classes_keep_their_numbers_and_new_ones_come_behind() -> None:
    setting = replace(with_classifier(), old_classes=None, old_biases=None)
    old = influence_of("classifier", setting)
    assert old.rows.tolist() == [0, 1, 2, -1, -1]
    assert old.biases.tolist() == [0, 0, 0]


def test_more_dimensions_than_the_old_model_are_cut() -> None:
    objective = build(Options(), with_classifier()).double()
    batch = random_batch()
    changed = batch.features.detach().clone()
    changed[:, OLD_DIM:] += 1
    other = CompatBatch(changed, None, batch.labels)
    torch.testing.assert_close(objective(other)["influence"], objective(batch)["influence"])
    assert not torch.isclose(objective(other)["new"], objective(batch)["new"])


def test_the_old_classifier_is_constant() -> None:
    setting = with_classifier()
    assert setting.old_classifier is not None
    setting.old_classifier.requires_grad_()
    objective = build(Options(), setting).double()
    total(objective, random_batch()).backward()  # type: ignore[no-untyped-call]
    assert setting.old_classifier.grad is None
    assert {n.split(".")[0] for n, _ in objective.named_parameters()} == {"classifier"}
    assert {"weights", "biases", "rows"} <= set(objective.state_dict())


def test_30_steps_lower_the_loss() -> None:
    objective = build(Options(old_scale=8), with_means()).float()
    labels = torch.arange(60) % N_CLASSES
    losses = train_steps(objective, lambda f: CompatBatch(f, None, labels), dim=DIM, n_steps=30)
    assert losses[-1] < losses[0] - 0.1


def test_it_declares_the_old_dimensions_as_a_prefix_and_needs_no_old_features() -> None:
    objective = build_objective("bct", {"influence": "class-means"}, with_means())
    assert objective.contract == Contract(ContractKind.PREFIX, OLD_DIM)
    assert isinstance(objective.head, nn.Identity)
    assert needs_of(objective) == Needs(old_features=False, twin_features=False, raw_features=False)


def test_the_classifier_alone_needs_no_old_features() -> None:
    setting = replace(with_classifier(), old_features=None)
    assert build(Options(), setting).contract == Contract(ContractKind.PREFIX, OLD_DIM)
    with pytest.raises(InvalidInputError, match="needs an old model"):
        build(Options(influence="both"), setting)


def test_what_the_setting_lacks_is_named() -> None:
    with pytest.raises(InvalidInputError, match="classifier, which was not kept") as info:
        build(Options(influence="classifier"), with_means())
    assert "class-means" in str(info.value.hint)
    with pytest.raises(InvalidInputError, match="'bct' needs an old model"):
        build(Options(), Setting(3, 2, torch.tensor([0, 1])))


@pytest.mark.parametrize(
    ("rows", "message"),
    [([0, 1, 2, 3, -1], r"lie in \[-1, 3\]"), ([-2, 0, 0, 0, 0], "or -1"), ([-1] * 5, "none of")],
)
def test_rows_of_the_old_classifier_are_checked(rows: list[int], message: str) -> None:
    setting = replace(with_classifier(), old_classes=torch.tensor(rows))
    with pytest.raises(InvalidInputError, match=message):
        build(Options(influence="classifier"), setting)


def test_an_old_classifier_that_knows_no_class_gives_way_to_class_means() -> None:
    setting = replace(with_classifier(), old_classes=torch.tensor([-1] * N_CLASSES))
    assert setting.old_features is not None
    objective = build(Options(), setting)
    expected = class_prototypes(setting.old_features, setting.labels, N_CLASSES)
    torch.testing.assert_close(objective.weights, expected)


def test_a_new_space_smaller_than_the_old_one_is_refused() -> None:
    with pytest.raises(DimensionMismatchError, match="4 dimensions but the new one only 3"):
        build(Options(), replace(with_classifier(), dim=3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"influence_weight": -1}, "weights"),
        ({"new_weight": 0, "influence_weight": 0}, "weights"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"old_scale": 0}, "old_scale must be above 0"),
        ({"new_scale": float("nan")}, "new_scale must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Options(**options)  # type: ignore[arg-type]
