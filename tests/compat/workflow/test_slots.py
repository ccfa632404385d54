"""Contracts of versions of one simplex, whichever of them was trained against which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from compat.workflow.slots import simplex_contracts
from registry import Registry
from registry.domain.canonical import Json
from registry.domain.contracts import Contract, ContractKind
from registry.domain.refs import VersionRef
from registry.domain.versions import ModelVersion
from tests.compat.workflow.lines import Line

DIM = 8
SAME = Contract(ContractKind.SAME_SPACE, DIM)
CORES = {"name": "cores"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def line(registry: Registry, tmp_path: Path) -> Line:
    made = Line(registry, tmp_path)
    for name, n_classes in (("a.npz", 4), ("b.npz", 6)):
        made.save(name, range(n_classes))
    return made


def elsewhere(line: Line, seed: int, **training: Json) -> ModelVersion:
    """A model of the same simplex from a line of its own, registered as a version of ours.

    Its record of training is not known here, or says what is given.
    """
    config = line.config(
        DIM, "a.npz", objective=CORES, model={"name": "external"}, training={"seed": seed}
    )
    folder = line.registry.models.artifact_directory(line.train(config))
    return line.registry.register("docs", folder, training=training).version


def comparable_with(line: Line, version: ModelVersion) -> dict[int, Contract]:
    """Versions that a version is compared with, in both directions alike."""
    found = {}
    for other in line.registry.models.list("docs"):
        there = line.registry.models.contract(version.ref, other.ref)
        back = line.registry.models.contract(other.ref, version.ref)
        assert there == back
        if there is not None and other != version:
            found[other.ref.number] = there
    return found


def edges(line: Line) -> set[tuple[int, int]]:
    return {(e.child.number, e.parent.number) for e in line.registry.models.lineage("docs")}


def test_a_version_is_comparable_with_all_of_its_simplex_without_being_told(line: Line) -> None:
    line.train(line.config(DIM, "a.npz", objective=CORES))
    line.train(line.config(DIM, "b.npz"))  # as many dimensions, but no simplex
    hub = {**CORES, "supplier": "hub", "side": "bottom"}
    line.train(line.config(DIM, "a.npz", objective=hub))
    line.save("c.npz", range(5))
    last = line.train(line.config(DIM, "c.npz", objective=CORES))
    assert comparable_with(line, last) == {1: SAME, 3: SAME}
    assert edges(line) == set()  # it did not come from them


def test_contracts_reach_further_than_to_the_version_that_was_trained_against(line: Line) -> None:
    """Two that were trained apart from each other; the third names one of them."""
    line.train(line.config(DIM, "a.npz", objective=CORES))
    line.train(line.config(DIM, "b.npz", objective=CORES, training={"seed": 1}))
    hoc = {"name": "dsimplex-hoc", "against": "docs@2"}
    third = line.train(line.config(DIM, "b.npz", objective=hoc))
    assert comparable_with(line, third) == {1: SAME, 2: SAME}
    assert edges(line) == {(3, 2)}


@pytest.mark.parametrize("against", [2, 3])
def test_after_a_replacement_all_deployed_versions_stay_comparable(
    line: Line, against: int
) -> None:
    """The replacement has no record here, so it has a contract only where it is named."""
    line.train(line.config(DIM, "a.npz", objective=CORES))
    line.train(line.config(DIM, "a.npz", objective=CORES, training={"seed": 1}))
    replacement = elsewhere(line, seed=2)
    assert comparable_with(line, replacement) == {}
    hoc = {"name": "dsimplex-hoc", "against": f"docs@{against}"}
    model = {"backbone": None, "options": None, "init": "docs@3"}
    fourth = line.train(line.config(DIM, "b.npz", objective=hoc, model=model))
    assert comparable_with(line, fourth) == dict.fromkeys({1, 2, against}, SAME)
    assert edges(line) == {(4, n) for n in {3, against}}


def test_classes_that_stand_elsewhere_get_no_contract_and_stop_nothing(line: Line) -> None:
    own: dict[str, Json] = {"0": 0, "1": 1, "9": 7}  # class 9 is not among the new ones
    elsewhere(line, seed=1, supplier="local", slots=own)
    elsewhere(line, seed=2, supplier="local", slots={**own, "1": 5})
    elsewhere(line, seed=3, supplier="hub", slots={"0": 8, "1": 7})
    elsewhere(line, seed=4, supplier="hub", slots={"0": 8, "1": 3})
    elsewhere(line, seed=5, supplier="local", slots={"a": 8})  # no label of ours
    last = line.train(line.config(DIM, "a.npz", objective=CORES))
    assert last.training["slots"] == {"0": 0, "1": 1, "2": 2, "3": 3}
    assert comparable_with(line, last) == {1: SAME, 3: SAME, 5: SAME}


def test_only_a_contract_of_one_space_reaches_further(line: Line) -> None:
    config = line.config(DIM, "a.npz", objective=CORES)
    assert simplex_contracts(line.registry, config, {0: 0}, SAME) == {}  # the line is not there yet
    line.train(config)
    slots = {0: 0, 1: 1}
    found = simplex_contracts(line.registry, config, slots, SAME)
    assert found == {VersionRef("docs", 1): SAME}
    for contract in (None, Contract(ContractKind.PREFIX, DIM), Contract(SAME.kind, DIM - 1)):
        assert simplex_contracts(line.registry, config, slots, contract) == {}
    assert simplex_contracts(line.registry, config, {}, SAME) == {}
