from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from compat.objectives import build_objective
from compat.objectives.cores import Options, build
from compat.objectives.protocol import CompatBatch, Needs, Setting, needs_of
from compat.objectives.simplex import simplex_vertices
from registry.domain.contracts import Contract, ContractKind
from registry.errors import DimensionMismatchError, InvalidInputError
from tests.compat.objectives.checks import assert_same_with_gradients, total, train_steps
from tests.reference import dsimplex as reference

N_SLOTS, DIM, N_CLASSES = 8, 7, 5
SETTING = Setting(DIM, N_CLASSES, torch.arange(10) % N_CLASSES)
SLOTS = torch.tensor([7, 0, 3, 5, 1])


def random_batch() -> CompatBatch:
    features = torch.randn(9, DIM, dtype=torch.float64, requires_grad=True)
    return CompatBatch(features, None, torch.arange(9) % N_CLASSES)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("slots", [None, SLOTS])
@pytest.mark.parametrize("scale", [None, 3.0])
def test_values_and_gradients_equal_the_reference(
    slots: torch.Tensor | None, scale: float | None
) -> None:
    objective = build(Options(scale=scale), replace(SETTING, slots=slots))
    batch = random_batch()
    owned = range(N_CLASSES) if slots is None else slots.tolist()
    targets = [owned[int(y)] for y in batch.labels]
    expected = reference.classification(batch.features, targets, N_SLOTS, scale or 1.0)
    assert_same_with_gradients(total(objective, batch), expected, [batch.features])


@pytest.mark.usefixtures("float64")
def test_without_the_unseen_only_owned_vertices_are_in_the_softmax() -> None:
    setting, batch = replace(SETTING, slots=SLOTS), random_batch()
    masked = build(Options(unseen="mask"), setting)(batch)["classification"]
    logits = batch.features @ simplex_vertices(N_SLOTS)[SLOTS].T
    torch.testing.assert_close(masked, functional.cross_entropy(logits, batch.labels))
    assert masked < build(Options(), setting)(batch)["classification"]


def test_normalised_features_get_a_scale() -> None:
    objective = build(Options(normalised=True), SETTING).double()
    batch = random_batch()
    longer = CompatBatch(7 * batch.features, None, batch.labels)
    torch.testing.assert_close(total(objective, batch), total(objective, longer))
    on_vertex = CompatBatch(objective.classifier.vertices[:N_CLASSES], None, torch.arange(5))
    assert float(total(objective, on_vertex)) < 1e-5


def test_a_scale_that_no_normalised_feature_can_train_with_is_refused() -> None:
    setting = Setting(99, 100, torch.arange(100))
    with pytest.raises(InvalidInputError, match=r"above 0\.027 for its class among 100") as info:
        build(Options(normalised=True, scale=1), setting)
    assert "scale = 9.1" in str(info.value.hint)
    build(Options(scale=1), setting)  # unnormalised features can grow


def test_it_has_nothing_to_train_and_needs_no_old_model() -> None:
    objective = build_objective("cores", {"n_slots": N_SLOTS}, SETTING)
    assert isinstance(objective, nn.Module)
    assert not list(objective.parameters())
    assert set(objective.state_dict()) == {"classifier.slots"}
    assert objective.contract == Contract(ContractKind.SAME_SPACE, DIM)
    assert isinstance(objective.head, nn.Identity)
    assert needs_of(objective) == Needs(old_features=False, twin_features=False, raw_features=True)


def test_an_old_model_with_the_same_slots_is_welcome() -> None:
    old = replace(SETTING, old_features=torch.ones(10, DIM))
    assert build(Options(), old).contract == Contract(ContractKind.SAME_SPACE, DIM)
    with pytest.raises(DimensionMismatchError, match="does not share the simplex of 8 slots"):
        build(Options(), replace(SETTING, old_features=torch.ones(10, DIM - 1)))


def test_two_versions_gather_classes_around_the_same_vertices() -> None:
    """What compatibility comes from: nets that never saw each other agree on directions."""
    directions = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        inputs = functional.one_hot(torch.arange(60) % N_CLASSES, N_CLASSES).float()
        network = nn.Linear(N_CLASSES, DIM)
        objective = build(Options(), SETTING)
        optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
        for _ in range(150):
            batch = CompatBatch(network(inputs), None, torch.arange(60) % N_CLASSES)
            optimizer.zero_grad()
            total(objective, batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        directions.append(functional.normalize(network(inputs[:N_CLASSES]).detach()))
    cosines = directions[0] @ directions[1].T
    assert cosines.argmax(dim=1).tolist() == list(range(N_CLASSES))
    assert cosines.diagonal().min() > 0.9


def test_30_steps_lower_the_loss() -> None:
    labels = torch.arange(60) % N_CLASSES
    losses = train_steps(
        build(Options(), SETTING),
        lambda f: CompatBatch(f, None, labels),
        dim=DIM,
        n_steps=30,
        rate=0.1,
    )
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (Setting(7, 9, torch.arange(9)), "9 classes do not fit into 8 slots"),
        (replace(SETTING, slots=torch.tensor([0, 1, 2, 3, 8])), r"slots must be in \[0, 8\)"),
        (replace(SETTING, slots=torch.tensor([0, 1, 2, 3, -1])), r"slots must be in \[0, 8\)"),
        (replace(SETTING, slots=torch.tensor([0, 1, 2, 2, 4])), "slot 2 is owned by 2 classes"),
        (replace(SETTING, labels=torch.tensor([0, 5])), r"labels must be in \[0, 5\), the classes"),
        (replace(SETTING, labels=torch.tensor([0, -1])), r"lie in \[-1, 0\]"),
    ],
)
def test_classes_without_a_slot_of_their_own_are_refused(setting: Setting, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build(Options(), setting)


def test_the_dimension_is_one_less_than_the_slots() -> None:
    with pytest.raises(DimensionMismatchError, match="8 slots has 7 dimensions") as info:
        build(Options(n_slots=8), replace(SETTING, dim=8))
    assert info.value.hint == "give the backbone dim = 7"


def test_a_slot_for_each_class() -> None:
    with pytest.raises(InvalidInputError, match="slots must hold one number for each of 5"):
        replace(SETTING, slots=torch.arange(4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_slots": 1}, "n_slots"),
        ({"scale": 0}, "scale must be above 0"),
        ({"label_smoothing": 1}, "label_smoothing"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Options(**options)  # type: ignore[arg-type]
